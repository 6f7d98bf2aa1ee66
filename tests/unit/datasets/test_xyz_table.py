"""A table and its geometries as an SDF file: whole, or not there."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from rdkit import Chem

from unimol2_tasks.datasets.ledger import read_ledger
from unimol2_tasks.datasets.xyz_table import replaced, write_sdf
from unimol2_tasks.errors import TableError

WATER = "3\nwater\nO 0.0 0.0 0.0\nH 0.76 0.59 0.0\nH -0.76 0.59 0.0\n"
ROWS = pl.DataFrame({"id": ["a", "b", "c"], "gap": ["1.5", "2.5", None]})


class Interruption(BaseException):
    """As if the process were killed."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_rows_become_records_or_rejects(tmp_path: Path, newline: str) -> None:
    out = tmp_path / "table.sdf"
    counts = write_sdf(ROWS, "id", ["gap"], [WATER.replace("\n", newline), "no atoms", WATER], out)
    assert (counts.rows_in, counts.out, counts.rejects) == (3, 2, 1)
    found = [(mol.GetProp("_Name"), mol.GetPropsAsDict().get("gap")) for mol in Chem.SDMolSupplier(str(out))]
    assert found == [("a", 1.5), ("c", None)]
    assert [reject.row for reject in read_ledger(tmp_path / "table.rejects.csv")] == [2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.rejects.csv", "table.sdf"]


def test_an_interruption_leaves_nothing_that_passes_for_the_file(tmp_path: Path) -> None:
    out = tmp_path / "table.sdf"

    def interrupted() -> Iterator[str]:
        yield WATER
        raise Interruption

    with pytest.raises(Interruption):
        write_sdf(ROWS, "id", ["gap"], interrupted(), out)
    assert names(tmp_path) == []
    write_sdf(ROWS, "id", ["gap"], [WATER] * 3, out)
    finished = out.read_bytes()
    with pytest.raises(Interruption):
        write_sdf(ROWS, "id", ["gap"], interrupted(), out)
    assert out.read_bytes() == finished


def test_two_processes_that_write_one_file_do_not_share_what_is_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "table.csv"
    with replaced(out) as [mine]:
        mine.write_text("mine, ")
        monkeypatch.setattr("os.getpid", lambda: -1)
        with replaced(out) as [other]:
            other.write_text("other")
        assert out.read_text() == "other"
        with mine.open("a") as stream:
            stream.write("whole")
    assert out.read_text() == "mine, whole"
    assert names(tmp_path) == ["table.csv"]


@pytest.mark.parametrize(
    ("geometries", "message"),
    [([WATER] * 2, r"table\.sdf: row 3, id c: no geometry"), ([WATER] * 4, r"table\.sdf: more geometries")],
)
def test_other_numbers_of_geometries_are_refused(tmp_path: Path, geometries: list[str], message: str) -> None:
    with pytest.raises(TableError, match=message):
        write_sdf(ROWS, "id", ["gap"], geometries, tmp_path / "table.sdf")
    assert names(tmp_path) == []
