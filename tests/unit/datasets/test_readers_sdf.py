import gzip
from pathlib import Path

import pytest
from rdkit import Chem

from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers import Table, read_table
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import TableError


def _block(smiles: str, title: str = "", v3000: bool = False) -> str:
    mol = Chem.MolFromSmiles(smiles)
    mol.SetProp("_Name", title)
    return str(Chem.MolToMolBlock(mol, forceV3000=v3000))


def _record(smiles: str, title: str = "", **properties: str) -> str:
    data = "".join(f">  <{name}>  (1) \n{value}\n\n" for name, value in properties.items())
    return f"{_block(smiles, title)}{data}$$$$\n"


def _table(folder: Path, content: str, choice: ColumnChoice | None = None, name: str = "t.sdf") -> Table:
    path = folder / name
    data = content.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return read_table(str(path), choice or ColumnChoice())


def _canonical(row: InputRow | Reject) -> str:
    assert isinstance(row, InputRow)
    assert row.structure.smiles == ""
    return str(Chem.MolToSmiles(Chem.MolFromMolBlock(row.structure.mol_block)))


@pytest.mark.parametrize("name", ["t.sdf", "t.sd", "t.SDF.gz"])
def test_what_rdkit_writes_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "written.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for number, smiles in enumerate(["CCO", "c1ccccc1", "CC(=O)O"]):
            mol = Chem.MolFromSmiles(smiles)
            mol.SetProp("_Name", f"m{number}")
            mol.SetDoubleProp("logS", number / 2)
            mol.SetProp("comment", "two\nlines")
            writer.SetForceV3000(number == 1)
            writer.write(mol)
    table = _table(tmp_path, path.read_text(), name=name)
    rows = list(table.rows())
    assert table.label_names == ("logS",)
    assert [_canonical(row) for row in rows] == ["CCO", "c1ccccc1", "CC(=O)O"]
    assert [(row.id, row.labels) for row in rows if isinstance(row, InputRow)] == [
        ("m0", (0.0,)),
        ("m1", (0.5,)),
        ("m2", (1.0,)),
    ]


def test_windows_line_ends_leave_no_trace(tmp_path: Path) -> None:
    table = _table(tmp_path, _record("CCO", "a", y="1").replace("\n", "\r\n"))
    (row,) = table.rows()
    assert _canonical(row) == "CCO"
    assert (row.id, row.labels) == ("a", (1.0,)) if isinstance(row, InputRow) else False


def test_ids_come_from_the_chosen_property_then_the_title_then_the_number(tmp_path: Path) -> None:
    content = _record("C", "title", lot="x7", ID="1") + _record("CC", "", ID="2") + _record("CCC", "t3")
    ids = [row.id for row in _table(tmp_path, content).rows() if isinstance(row, InputRow)]
    assert ids == ["title", "2", "t3"]
    chosen = _table(tmp_path, content, ColumnChoice(id="lot"))
    assert [row.id for row in chosen.rows() if isinstance(row, InputRow)] == ["x7", "2", "t3"]


def test_an_id_property_is_guessed_where_no_record_has_a_title(tmp_path: Path) -> None:
    content = _record("C", ID="CHEMBL1") + _record("CC", ID="CHEMBL2")
    ids = [row.id for row in _table(tmp_path, content).rows() if isinstance(row, InputRow)]
    assert ids == ["CHEMBL1", "CHEMBL2"]


def test_a_smiles_property_is_used_only_when_it_is_named(tmp_path: Path) -> None:
    content = _record("CCO", "a", SMILES="OCC")
    (row,) = _table(tmp_path, content).rows()
    assert _canonical(row) == "CCO"
    (row,) = _table(tmp_path, content, ColumnChoice(smiles="SMILES")).rows()
    assert isinstance(row, InputRow)
    assert (row.structure.smiles, row.structure.mol_block) == ("OCC", None)


def test_missing_and_wrong_measurements(tmp_path: Path) -> None:
    content = _record("C", "a", y="1") + _record("CC", "b") + _record("CCC", "c", y=">10")
    rows = list(_table(tmp_path, content, ColumnChoice(labels=("y",))).rows())
    assert [row.labels for row in rows[:2] if isinstance(row, InputRow)] == [(1.0,), (None,)]
    assert rows[2] == Reject(3, "c", "read", "column 'y': '>10' is not a number")


def test_a_property_may_come_late(tmp_path: Path) -> None:
    content = _record("C", "a", x="1") * 1200 + _record("CC", "b", rare="2")
    table = _table(tmp_path, content, ColumnChoice(labels=("rare",)))
    rows = list(table.rows())
    assert len(rows) == 1201
    assert isinstance(rows[-1], InputRow)
    assert rows[-1].labels == (2.0,)
    with pytest.raises(TableError, match=r"t\.sdf: --label-columns: no column 'rarer'; did you mean 'rare'"):
        _table(tmp_path, content, ColumnChoice(labels=("rarer", "rare")))


def test_damaged_records_cost_one_row_each(tmp_path: Path) -> None:
    whole = _record("CCO", "whole", y="1")
    unseparated = (_record("C", "first", y="1") + _record("CC", "second", y="2")).replace("$$$$\n", "", 1)
    cut = "\n".join(_block("CCO", "cut").splitlines()[:5]) + "\n"
    content = whole + "$$$$\n" + whole + unseparated + whole + cut + "$$$$\n" + whole + cut
    rows = list(_table(tmp_path, content).rows())
    assert len(rows) == 8
    assert isinstance(rows[1], InputRow)
    assert rows[1].structure.mol_block == "", "chemistry says what is wrong with it"
    assert rows[3] == Reject(
        4, "first", "read", "two structures in one record; look for a missing line of $$$$"
    )
    assert [_canonical(rows[place]) for place in (0, 2, 4, 6)] == ["CCO"] * 4
    assert [row.id for row in (rows[5], rows[7]) if isinstance(row, InputRow)] == ["cut", "cut"]


def test_a_record_without_end_is_not_collected(tmp_path: Path) -> None:
    content = "endless\n" + "x" * 99 + "\n" + ("y" * 99 + "\n") * 170_000 + "$$$$\n" + _record("C", "next")
    rows = list(_table(tmp_path, content).rows())
    assert isinstance(rows[0], Reject)
    assert rows[0].input == "endless"
    assert "longer than" in rows[0].reason
    assert _canonical(rows[1]) == "C"


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"t\.sdf: no molecule in it"):
        _table(tmp_path, "\n\n")
