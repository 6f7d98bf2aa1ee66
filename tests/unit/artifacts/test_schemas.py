import polars as pl
import pytest

from unimol2_tasks.artifacts.schemas import SPLITS, validate
from unimol2_tasks.errors import ArtifactError


def _splits(**columns: object) -> pl.DataFrame:
    values = {
        "index": [0, 1, 2],
        "id": ["a", "b", "c"],
        "split": ["train", "train", "test"],
        "fold": [None, None, None],
        **columns,
    }
    return pl.DataFrame(values, schema_overrides={"index": pl.UInt64, "fold": pl.UInt8})


def test_a_good_table_is_returned() -> None:
    frame = _splits()
    assert validate(frame, SPLITS, "splits.parquet") is frame


def test_a_failure_names_file_column_check_count_and_first_values() -> None:
    with pytest.raises(ArtifactError) as error:
        validate(_splits(split=["train", "trian", "tset"]), SPLITS, "here/splits.parquet")
    assert str(error.value).startswith(
        "here/splits.parquet: column split: isin fails for 2 of 3 rows: trian, tset"
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a", None, "c"]}, "column id: not_nullable fails for 1 of 3 rows"),
        ({"index": [0, 1, 1]}, "column index: "),
        ({"id": [1, 2, 3]}, r"column id: dtype\('String'\): Int64"),
        ({"colour": ["r", "g", "b"]}, "column_in_schema: colour"),
    ],
)
def test_every_kind_of_damage_is_told(columns: dict[str, object], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        validate(_splits(**columns), SPLITS, "splits.parquet")


def test_a_missing_column_is_told_once() -> None:
    with pytest.raises(ArtifactError, match=r"splits.parquet: column_in_dataframe: split\. The file"):
        validate(_splits().drop("split"), SPLITS, "splits.parquet")
