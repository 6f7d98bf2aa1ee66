import gzip
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers import Table, read_table
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import TableError


def _written(folder: Path, columns: dict[str, Any], name: str = "t.parquet") -> Path:
    path = folder / name
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def _table(path: Path, choice: ColumnChoice | None = None) -> Table:
    return read_table(str(path), choice or ColumnChoice())


COLUMNS: dict[str, Any] = {
    "smiles": ["CCO", None, "C"],
    "id": [7, 8, None],
    "y": [0.5, None, float("nan")],
    "active": [True, False, None],
    "price": [Decimal("1.25"), None, Decimal("2.00")],
    "text": ["1", "", "2.5"],
    "vector": [[1.0], [2.0], None],
    "made": [date(2024, 1, 1)] * 3,
}


@pytest.mark.parametrize("packed", [False, True])
def test_typed_columns_are_read(tmp_path: Path, packed: bool) -> None:
    path = _written(tmp_path, COLUMNS)
    if packed:
        path = path.with_name("t.parquet.gz")
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    table = _table(path)
    assert table.label_names == ("y", "active", "price", "text")
    rows = [(row.id, row.structure.smiles, row.labels) for row in table.rows() if isinstance(row, InputRow)]
    assert rows == [
        ("7", "CCO", (0.5, 1.0, 1.25, 1.0)),
        ("8", "", (None, 0.0, None, None)),
        ("3", "C", (None, None, 2.0, 2.5)),
    ]


def test_dictionary_and_large_text_are_text(tmp_path: Path) -> None:
    columns = {
        "smiles": pa.array(["C", "C"]).dictionary_encode(),
        "name": pa.array(["a", "b"], pa.large_string()),
    }
    rows = list(_table(_written(tmp_path, columns)).rows())
    assert [(row.structure.smiles, row.id) for row in rows if isinstance(row, InputRow)] == [
        ("C", "a"),
        ("C", "b"),
    ]


def test_infinite_measurements_are_rejected(tmp_path: Path) -> None:
    path = _written(tmp_path, {"smiles": ["C", "CC"], "y": [1.0, float("inf")]})
    rows = list(_table(path, ColumnChoice(labels=("y",))).rows())
    assert rows[1] == Reject(2, "CC", "read", "column 'y': inf is not a number")


def test_text_that_is_not_utf8_costs_its_row_only(tmp_path: Path) -> None:
    notes = pa.array([b"fine", b"caf\xe9", None])
    bad = pa.StringArray.from_buffers(3, *notes.buffers()[1:], notes.buffers()[0])
    path = _written(tmp_path, {"smiles": ["C", "CC", "CCC"], "name": bad})
    rows = list(_table(path).rows())
    assert rows[1] == Reject(2, "caf\\xe9", "read", "byte 0xE9 is not UTF-8; save the file as UTF-8")
    assert [row.id for row in rows if isinstance(row, InputRow)] == ["fine", "3"]


def test_the_first_rows_need_the_first_row_groups_only(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    smiles = [f"{'C' * (number % 50)}O" for number in range(40_000)]
    table = pa.table({"smiles": smiles})
    pq.write_table(table, path, row_group_size=2000, compression=None, use_dictionary=False)
    opened = _table(path)
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 100_000] = bytes(100_000)
    path.write_bytes(content)
    assert len(list(islice(opened.rows(), 3000))) == 3000
    with pytest.raises(TableError, match=r"t\.parquet: no Parquet file, or a damaged one"):
        list(opened.rows())


@pytest.mark.parametrize(
    ("columns", "choice", "message"),
    [
        ({"smiles": [1, 2]}, ColumnChoice(), "column 'smiles' holds int, expected SMILES"),
        (COLUMNS, ColumnChoice(labels=("made",)), "column 'made' holds date, expected numbers"),
        (COLUMNS, ColumnChoice(labels=("vector",)), "column 'vector' holds list, expected numbers"),
        (COLUMNS, ColumnChoice(labels=("z",)), "--label-columns: no column 'z'"),
        ({"smiles": pa.array([], pa.string())}, ColumnChoice(), "no molecule in it"),
    ],
)
def test_what_cannot_be_used_is_explained(
    tmp_path: Path, columns: dict[str, Any], choice: ColumnChoice, message: str
) -> None:
    with pytest.raises(TableError, match=rf"t\.parquet: .*{message}"):
        _table(_written(tmp_path, columns), choice)


@pytest.mark.parametrize("content", [b"", b"smiles\nC\n", b"PAR1" + bytes(100)])
def test_another_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"t\.parquet: no Parquet file"):
        _table(path)
