import csv
import gzip
import io
import logging
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers import Table, read_table
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import TableError, UserError

cells = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)


def _table(folder: Path, name: str, content: str | bytes, choice: ColumnChoice | None = None) -> Table:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(str(path), choice or ColumnChoice())


def _values(table: Table) -> list[tuple[int, str, str, tuple[float | None, ...]] | Reject]:
    """Number, SMILES, id and labels of each row."""
    return [
        (row.row, row.structure.smiles, row.id, row.labels) if isinstance(row, InputRow) else row
        for row in table.rows()
    ]


def test_columns_are_guessed_and_the_guess_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        table = _table(tmp_path, "t.csv", "name,SMILES,logS,comment\nethanol,CCO,-0.5,ok\nmethane,C,,\n")
    assert _values(table) == [
        (1, "CCO", "ethanol", (-0.5,)),
        (2, "C", "methane", (None,)),
    ]
    assert table.label_names == ("logS",)
    assert "SMILES column: SMILES (guessed)" in caplog.text
    assert "label columns: logS (guessed)" in caplog.text


def test_named_columns_win(tmp_path: Path) -> None:
    choice = ColumnChoice(smiles="product", id="lot", labels=("b", "a"))
    table = _table(tmp_path, "t.tsv", "smiles\tproduct\tlot\ta\tb\nC\tCC\tx7\t1\t2\n", choice)
    assert _values(table) == [(1, "CC", "x7", (2.0, 1.0))]


def test_row_numbers_of_pandas_are_no_label(tmp_path: Path) -> None:
    assert _table(tmp_path, "t.csv", ",smiles,y\n0,C,1.5\n1,CC,2.5\n").label_names == ("y",)


def test_a_nearly_numeric_column_is_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = _table(tmp_path, "t.csv", "smiles,y\nC,1\nCC,2\nCCC,>10\n")
    assert table.label_names == ()
    assert "column 'y' is no label: it holds '>10'" in caplog.text


def test_spreadsheet_habits_are_understood(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfsmiles,y,note\r\n"CCO",1e-3,"said ""ok"", twice"\r\n\r\nC,NA,\r\n'
    assert _values(_table(tmp_path, "t.csv", content)) == [
        (1, "CCO", "1", (0.001,)),
        (2, "C", "2", (None,)),
    ]


def test_bad_rows_are_rejected_where_they_are(tmp_path: Path) -> None:
    content = "smiles,y\nC,1\nC,1,2\nCC,high\nCC\nCCC,inf\nCCCC,2\n"
    rows = _values(_table(tmp_path, "t.csv", content, ColumnChoice(labels=("y",))))
    assert rows == [
        (1, "C", "1", (1.0,)),
        Reject(2, "C,1,2", "read", "3 fields, the header has 2"),
        Reject(3, "CC", "read", "column 'y': 'high' is not a number"),
        Reject(4, "CC", "read", "1 fields, the header has 2"),
        Reject(5, "CCC", "read", "column 'y': 'inf' is not a number"),
        (6, "CCCC", "6", (2.0,)),
    ]


def test_a_quote_inside_a_line_costs_that_row(tmp_path: Path) -> None:
    content = 'smiles,note\nC,fine\nCC,"an "odd" note"\nCCC,fine\nCCCC,"open\n'
    rows = _values(_table(tmp_path, "t.csv", content))
    assert [row.row for row in rows if isinstance(row, Reject)] == [2, 4]
    assert rows[1] == Reject(
        2, 'CC,"an "odd" note"', "read", "',' expected after '\"'; look for a quote too many or too few"
    )
    assert rows[2] == (3, "CCC", "3", ())


def test_a_row_that_took_its_neighbour_along_says_so(tmp_path: Path) -> None:
    rows = _values(_table(tmp_path, "t.csv", 'smiles,y\nC,"1\nCC,2"\nCCC,3,4\n', ColumnChoice(labels=())))
    assert rows[0] == (1, "C", "1", ())
    rows = _values(_table(tmp_path, "t.csv", 'smiles,y\nC,1,"2\nCC,2"\nCCC,3\n', ColumnChoice(labels=())))
    assert isinstance(rows[0], Reject)
    assert rows[0].reason == "3 fields, the header has 2; lines 2-3: look for a quote too many or too few"


def test_the_split_column_travels_with_the_row(tmp_path: Path) -> None:
    table = _table(tmp_path, "t.csv", "smiles,fold\nC,train\nCC, test \nCCC,\n", ColumnChoice(split="fold"))
    splits = [row.split for row in table.rows() if isinstance(row, InputRow)]
    assert splits == ["train", "test", None]


class _CountingStore(Store):
    """A store that counts the bytes that are read from local files."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "read", [])

    def open(self, uri: str) -> IO[bytes]:
        counts: list[int] = self.read  # type: ignore[attr-defined]

        class Counting(io.FileIO):
            def readinto(self, buffer: Any) -> int:
                counts.append(super().readinto(buffer) or 0)
                return counts[-1]

        return io.BufferedReader(Counting(uri))


def test_the_first_rows_do_not_need_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("smiles,y\n" + "CCOCC,1.5\n" * 400_000)
    store = _CountingStore()
    table = read_table(str(path), ColumnChoice(), store)
    assert len(list(islice(table.rows(), 5000))) == 5000
    assert sum(store.read) < path.stat().st_size / 10  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_smiles_files(tmp_path: Path, suffix: str) -> None:
    content = b"smiles name\nCCO ethanol (pure)\n\nC\n"
    table = _table(tmp_path, f"t.smi{suffix}", gzip.compress(content) if suffix else content)
    assert _values(table) == [(1, "CCO", "ethanol (pure)", ()), (2, "C", "2", ())]


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(cells, cells, st.none() | st.floats(allow_nan=False, allow_infinity=False)), min_size=1
    )
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, float | None]]
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("smiles", "id", "y"), *rows])
    path = tmp_path_factory.mktemp("tables") / "t.csv.gz"
    path.write_bytes(gzip.compress(text.getvalue().encode()))
    table = read_table(str(path), ColumnChoice(labels=("y",)))
    expected = [
        (number, smiles.strip(), name.strip() or str(number), (value,))
        for number, (smiles, name, value) in enumerate(rows, start=1)
    ]
    assert _values(table) == expected


@settings(max_examples=40)
@given(lines=st.lists(st.binary(max_size=12).map(lambda line: line.translate(None, b'\r\n"')), min_size=1))
def test_every_line_of_any_bytes_is_one_row(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    path.write_bytes(b"smiles\nC\n" + b"\n".join(lines) + b"\n")
    rows = list(read_table(str(path), ColumnChoice()).rows())
    assert [row.row for row in rows] == list(range(1, 2 + sum(map(bool, lines))))


@pytest.mark.parametrize(
    ("name", "content", "choice", "message"),
    [
        ("t.csv", "a,b\n1,2\n", ColumnChoice(), r"--smiles-column; found: 'a', 'b'"),
        (
            "t.csv",
            "smiles,b\nC,2\n",
            ColumnChoice(smiles="smile"),
            r"no column 'smile'; did you mean 'smiles'",
        ),
        (
            "t.csv",
            "smiles,logS\nC,2\n",
            ColumnChoice(labels=("logs",)),
            r"--label-columns.*did you mean 'logS'",
        ),
        (
            "t.csv",
            "smiles;y\nC;1,5\n",
            ColumnChoice(),
            "'smiles;y', which looks separated by semicolons; save it as .csv with commas",
        ),
        (
            "t.csv",
            "smiles\ty\nC\t1\n",
            ColumnChoice(smiles="smiles"),
            "looks separated by tabs; let its name end in .tsv",
        ),
        ("t.csv", "", ColumnChoice(), "no molecule in it"),
        ("t.csv", "smiles\n", ColumnChoice(), "no molecule in it"),
        ("t.smi", "\n", ColumnChoice(), "no molecule in it"),
        ("t.xlsx", "x", ColumnChoice(), "unknown kind of table; expected .csv"),
        ("t.csv", "smiles,y,y\nC,1,2\n", ColumnChoice(), "column 'y' appears twice"),
        (
            "t.csv",
            'smiles,y\nC,1\n"C,2\nC,3\n',
            ColumnChoice(),
            "begins on line 3 does not end before line 4: unexpected end of data",
        ),
        (
            "t.csv",
            "smiles,ü\nC,1\n".encode("latin-1"),
            ColumnChoice(),
            "header.*0xFC.*save the file as UTF-8",
        ),
        ("t.csv", "smiles,y\nC,1\n".encode("utf-16-le"), ColumnChoice(), "header.*NUL"),
        ("t.csv", '"smiles"x,y\nC,1\n', ColumnChoice(), "header cannot be read.*quote"),
        ("t.csv.gz", b"smiles", ColumnChoice(), "damaged gzip"),
        ("t.csv.gz", gzip.compress(b"smiles\nC\n", mtime=0)[:-9], ColumnChoice(), "damaged gzip"),
        ("t.smi", "C\n", ColumnChoice(labels=("y",)), "no label columns"),
        ("t.smi", "C\n", ColumnChoice(id="name"), "no named columns"),
    ],
)
def test_what_cannot_be_read_is_explained(
    tmp_path: Path, name: str, content: str | bytes, choice: ColumnChoice, message: str
) -> None:
    with pytest.raises(TableError, match=message) as error:
        list(_table(tmp_path, name, content, choice).rows())
    assert name in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.csv: cannot be read"):
        read_table(str(tmp_path / "absent.csv"), ColumnChoice())
