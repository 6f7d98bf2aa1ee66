import io
from pathlib import Path

import polars as pl
import pytest

from unimol2_tasks.chemistry.splits import assign_splits, read_split_file
from unimol2_tasks.errors import TableError
from unimol2_tasks.params import PrepareParams

COLUMN = PrepareParams(split="column", split_column="set")
FILE = PrepareParams(split="file", split_file="splits.csv")
IDS = pl.DataFrame({"id": ["a", "b", "c"]})


def _with(splits: list[str | None]) -> pl.DataFrame:
    ids = [f"m{row}" for row in range(len(splits))]
    return pl.DataFrame({"id": ids, "split": pl.Series(splits, dtype=pl.String)})


def test_a_column_is_taken_as_given_whatever_it_calls_the_splits() -> None:
    words = ["train", "Training", "VALID", "validation", "val", " dev ", "Test", "testing"]
    assigned = assign_splits(_with(list(words)), COLUMN)
    assert assigned.splits == ["train"] * 2 + ["valid"] * 4 + ["test"] * 2
    assert assigned.folds is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("holdout", r"column set, id m1: unknown split 'holdout'; expected train, valid or test .* \(1 more"),
        (None, "column set, id m1: no split; expected train"),
        ("", "column set, id m1: no split; expected train"),
    ],
)
def test_what_is_no_split_is_refused_by_id(value: str | None, message: str) -> None:
    with pytest.raises(TableError, match=message):
        assign_splits(_with(["train", value, "test", value]), COLUMN)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_is_matched_by_id(tmp_path: Path, newline: str) -> None:
    path = tmp_path / "splits.csv"
    lines = ["name,split,id", "x,test,c", '"y, z", Train ,a', "x,val,b", ""]
    path.write_bytes(b"\xef\xbb\xbf" + newline.join(lines).encode())
    given = read_split_file(path)
    assert given == {"c": "test", "a": "train", "b": "valid"}
    assert read_split_file(io.BytesIO(path.read_bytes())) == given
    assert assign_splits(IDS, FILE, given).splits == ["train", "valid", "test"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,split\na,train\n", "no column id; columns: name, split"),
        ("id,split\na,train\nb,odd\n", "row 2, id b: unknown split 'odd'"),
        ("id,split\na,train\nb,\n", "row 2, id b: no split"),
        ("id,split\n,train\n", "row 1: id is missing"),
        ("id,split\na,train\nb,test\na,valid\n", "row 1: id a is in several splits"),
        ("", "not a CSV file"),
        ("id,split\na,train,more\n", "not a CSV file"),
    ],
)
def test_a_damaged_file_is_refused_by_row(content: str, message: str) -> None:
    with pytest.raises(TableError, match=f"s3://bucket/splits.csv: {message}"):
        read_split_file(io.BytesIO(content.encode()), "s3://bucket/splits.csv")


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("id,split\nmolécule,train\n".encode("latin-1"))
    with pytest.raises(TableError, match=r"latin\.csv: not a CSV file in UTF-8"):
        read_split_file(tmp_path / "latin.csv")
    with pytest.raises(TableError, match=r"absent\.csv: cannot be read: No such file"):
        read_split_file(tmp_path / "absent.csv")


def test_molecules_that_the_file_forgets_are_named() -> None:
    with pytest.raises(TableError, match=r"splits\.csv: no split for 2 of 3 molecules: id a, c"):
        assign_splits(IDS, FILE, {"b": "test"})
    with pytest.raises(TableError, match=r"no split for 3 of 3 molecules: id a, b, c; add them"):
        assign_splits(IDS, FILE, {})


def test_ids_of_no_molecule_are_told(caplog: pytest.LogCaptureFixture) -> None:
    given = {"a": "train", "b": "train", "c": "test", "rejected": "test"}
    assert assign_splits(IDS, FILE, given).splits == ["train", "train", "test"]
    assert "1 ids are not in the dataset: rejected" in caplog.text
