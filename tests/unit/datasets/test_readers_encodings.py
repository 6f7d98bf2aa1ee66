import codecs
from pathlib import Path

import pytest

from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers import read_table
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import TableError

TEXT = "id,smiles,y\nβ-alanin,NCCC(=O)O,1.5\n水,O,\n"


def _rows(path: Path) -> list[InputRow | Reject]:
    return list(read_table(str(path), ColumnChoice()).rows())


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF16_LE + TEXT.replace("\n", "\r\n").encode("utf-16-le"),
        TEXT.replace("\n", "\r").encode(),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16-le", "utf-16-be", "utf-16 from Excel", "old Mac line ends"],
)
def test_encodings_and_line_ends_are_understood(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    rows = _rows(path)
    assert [row.id for row in rows if isinstance(row, InputRow)] == ["β-alanin", "水"]
    assert [row.labels for row in rows if isinstance(row, InputRow)] == [(1.5,), (None,)]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("t.csv", b"smiles,note\nC,ok\nCC,caf\xe9\nCCC,ok\n", "CC,caf\\xe9"),
        ("t.tsv", b"smiles\tnote\nC\tok\nCC\tcaf\xe9\nCCC\tok\n", "CC\tcaf\\xe9"),
        ("t.smi", b"C ok\nCC caf\xe9\nCCC ok\n", "CC caf\\xe9"),
        ("t.sdf", b"a\n\n\nM  END\n$$$$\ncaf\xe9\n\n\nM  END\n$$$$\nc\n\n\nM  END\n$$$$\n", "caf\\xe9"),
    ],
)
def test_a_line_in_another_encoding_costs_its_row_only(
    tmp_path: Path, name: str, content: bytes, text: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    rows = _rows(path)
    assert [isinstance(row, Reject) for row in rows] == [False, True, False]
    assert rows[1] == Reject(2, text, "read", "byte 0xE9 is not UTF-8; save the file as UTF-8")


def test_a_nul_costs_its_row_only(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"smiles\nC\0C\nCC\n")
    assert _rows(path)[0] == Reject(
        1, "C\\x00C", "read", "holds a NUL character; save the file as UTF-8 text"
    )


def test_damaged_utf16_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")[:-1])
    with pytest.raises(TableError, match=r"t\.csv: damaged UTF-16"):
        _rows(path)
