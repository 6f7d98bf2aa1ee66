"""Tables in pieces: what is written is read again, in either format."""

import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from unimol2_tasks.artifacts.prediction_schemas import ATOM_EMBEDDINGS, PREDICTIONS, column_types, schema_of
from unimol2_tasks.artifacts.schemas import validate
from unimol2_tasks.artifacts.streamed_tables import read_pieces, refuse_other_suffixes, write_pieces
from unimol2_tasks.errors import ArtifactError, UserError

TYPES = column_types(
    ["row", "id", "smiles", "prediction:gap, eV", "class:phase", "std:gap, eV", "similarity", "reason"]
)
FRAME = pl.DataFrame(
    {
        "row": [1, 2, 3],
        "id": ["NA", 'say "hi",\nthere', "-5"],
        "smiles": ["", "CCO", "null"],
        "prediction:gap, eV": [None, 1.5, 1e-300],
        "class:phase": [None, 2, 0],
        "std:gap, eV": [None, 0.0, 0.25],
        "similarity": [None, 1.0, 0.7],
        "reason": ["no", None, None],
    },
    schema=TYPES,
)


def read(path: Path) -> pl.DataFrame:
    return pl.concat(read_pieces(str(path), lambda: path.open("rb"), column_types))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("cuts", [[0, 3], [0, 1, 1, 3], [0]])
def test_what_is_written_in_pieces_is_read_again(tmp_path: Path, name: str, cuts: list[int]) -> None:
    pieces = [FRAME[begin:end] for begin, end in pairwise(cuts)]
    write_pieces(tmp_path / name, TYPES, pieces)
    assert_frame_equal(read(tmp_path / name), FRAME[: cuts[-1]])


def test_other_programs_read_the_same(tmp_path: Path) -> None:
    write_pieces(tmp_path / "t.parquet", TYPES, [FRAME])
    write_pieces(tmp_path / "t.csv", TYPES, [FRAME])
    assert_frame_equal(pl.read_parquet(tmp_path / "t.parquet"), FRAME)
    with (tmp_path / "t.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == FRAME["id"].to_list()
    assert [row["prediction:gap, eV"] for row in rows] == ["", "1.5", "1e-300"]


@pytest.mark.parametrize("formula", ['=HYPERLINK("http://x")', "+A1", "-2+A1", "@SUM(A1)", "\tx", "'quoted"])
def test_a_spreadsheet_finds_no_formula_and_the_table_reads_as_it_was(tmp_path: Path, formula: str) -> None:
    frame = FRAME.with_columns(id=pl.lit(formula), reason=pl.lit(formula))
    for name in ("t.csv", "t.parquet"):
        write_pieces(tmp_path / name, TYPES, [frame])
        assert_frame_equal(read(tmp_path / name), frame)
    with (tmp_path / "t.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            assert row["id"] == row["reason"] == "'" + formula


def test_a_good_table_passes() -> None:
    assert schema_of(FRAME.columns) is PREDICTIONS
    validate(FRAME, PREDICTIONS, "p.csv")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("similarity", [None, 1.5, 0.5], "column similarity: in_range"),
        ("std:gap, eV", [None, -1.0, 0.0], "column std:gap, eV: greater_than_or_equal_to"),
        ("prediction:gap, eV", [None, float("inf"), 1.0], "column prediction:gap, eV: finite"),
        ("reason", [None, None, None], "either prediction:… or a reason"),
        ("reason", ["no", "no", None], "either prediction:… or a reason"),
        ("row", [1, 1, 2], "column row: field_uniqueness"),
    ],
)
def test_a_bad_table_is_refused(column: str, values: Sequence[object], message: str) -> None:
    bad = FRAME.with_columns(pl.Series(column, values, dtype=TYPES[column]))
    with pytest.raises(ArtifactError, match=message):
        validate(bad, PREDICTIONS, "p.csv")


def test_tables_of_atoms_may_repeat_a_row() -> None:
    names = ["row", "id", "smiles", "atom_index", "element", "embedding:0", "reason"]
    values = [(1, "a", "CO", 0, "C", 0.5, None), (1, "a", "CO", 1, "O", 0.5, None)]
    frame = pl.DataFrame(values, schema=column_types(names), orient="row")
    assert schema_of(names) is ATOM_EMBEDDINGS
    validate(frame, ATOM_EMBEDDINGS, "e.parquet")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_pieces(tmp_path / "t.parquet", TYPES, [FRAME])
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match=r"t\.parquet: cannot be read"):
        read(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("row,id\nx,1\n")
    with pytest.raises(ArtifactError, match=r"t\.csv: cannot be read"):
        read(tmp_path / "t.csv")


def test_another_format_is_refused() -> None:
    with pytest.raises(UserError, match=r"out\.xlsx: expected a file that ends in \.csv or \.parquet"):
        refuse_other_suffixes("s3://bucket/out.xlsx")
