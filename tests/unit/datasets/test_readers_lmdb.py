import datetime
import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from rdkit import Chem

from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers import Table, array_pickles, read_table
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import TableError

WATER = np.array([[0, 0, 0.1], [0.8, 0, -0.5], [-0.8, 0, -0.5]], np.float32)
FLAT = WATER * np.array([1, 1, 0], np.float32)


def _entry(**changes: Any) -> dict[str, Any]:
    entry = {
        "atoms": ["O", "H", "H"],
        "coordinates": [WATER, WATER + 1, FLAT],
        "smi": "O",
        "target": 1.5,
    }
    return entry | changes


def _written(folder: Path, *values: bytes) -> Path:
    path = folder / "t.lmdb"
    with (
        lmdb.open(str(path), subdir=False, map_size=1 << 24) as environment,
        environment.begin(write=True) as t,
    ):
        for number, value in enumerate(values):
            t.put(str(number).encode(), value)
    return path


def _table(folder: Path, *entries: object) -> Table:
    return read_table(str(_written(folder, *map(pickle.dumps, entries))), ColumnChoice())


def _only(table: Table) -> InputRow:
    (row,) = table.rows()
    assert isinstance(row, InputRow)
    return row


def test_conformers_come_without_the_drawing(tmp_path: Path) -> None:
    row = _only(_table(tmp_path, _entry()))
    assert (row.id, row.structure.smiles, row.labels) == ("0", "O", (1.5,))
    assert row.structure.coordinates is not None
    assert row.structure.coordinates.symbols == ("O", "H", "H")
    np.testing.assert_array_equal(row.structure.coordinates.positions, [WATER, WATER + 1])


@pytest.mark.parametrize(
    ("coordinates", "conformers"),
    [
        ([FLAT, FLAT], None),
        ([FLAT], 1),
        (WATER, 1),
        (np.stack([WATER, FLAT]), 1),
        (WATER.tolist(), 1),
        ([], None),
    ],
    ids=["drawings only", "one planar", "one array", "array of all", "nested lists", "none"],
)
def test_ways_of_holding_coordinates(tmp_path: Path, coordinates: object, conformers: int | None) -> None:
    given = _only(_table(tmp_path, _entry(coordinates=coordinates))).structure.coordinates
    assert (None if given is None else len(given.positions)) == conformers


@pytest.mark.parametrize(
    ("target", "names", "labels"),
    [
        (2, ("target",), (2.0,)),
        (np.float32(0.5), ("target",), (0.5,)),
        ([1.0, float("nan")], ("target_0", "target_1"), (1.0, None)),
        ((0, 1), ("target_0", "target_1"), (0.0, 1.0)),
        (np.array([[1, 2]]), ("target_0", "target_1"), (1.0, 2.0)),
        (None, (), ()),
    ],
)
def test_targets_become_labels(
    tmp_path: Path, target: object, names: tuple[str, ...], labels: tuple[float | None, ...]
) -> None:
    # A column without any number in the first rows is not guessed to be a label, so one more row has all.
    full = (
        _entry(target=np.ones_like(np.asarray(target, float))) if target is not None else _entry(target=None)
    )
    table = _table(tmp_path, _entry(target=target), full)
    assert table.label_names == names
    first = next(iter(table.rows()))
    assert isinstance(first, InputRow)
    assert first.labels == labels


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["<f4", ">f8", "<i8", "|b1", "<U2", "|S2"])
def test_arrays_of_every_protocol_are_read(tmp_path: Path, protocol: int, kind: str) -> None:
    array = np.array([[1, 0, 1], [0, 1, 1]]).astype(kind)
    entry = _entry(extra=[array, np.asfortranarray(array), array[0, 0], {1, 2}, b"bytes"])
    content = pickle.dumps(entry, protocol)
    loaded = array_pickles.loads(content)
    assert isinstance(loaded, dict)
    for written, read in zip(entry["extra"][:3], loaded["extra"][:3], strict=True):
        np.testing.assert_array_equal(read, written)
        # numpy turns a state in foreign byte order into its own.
        assert np.asarray(read).dtype.newbyteorder("=") == np.asarray(written).dtype.newbyteorder("=")
    assert loaded["extra"][3:] == entry["extra"][3:]
    assert _only(_table_of(tmp_path, content)).structure.smiles == "O"


def _table_of(folder: Path, *contents: bytes) -> Table:
    return read_table(str(_written(folder, *contents)), ColumnChoice())


def test_pickles_of_numpy_1_and_2_are_read(tmp_path: Path) -> None:
    content = pickle.dumps(_entry(), 3)
    old = content.replace(b"numpy._core", b"numpy.core")
    assert old != content
    for pickled in (content, old):
        folder = tmp_path / str(len(pickled))
        folder.mkdir()
        assert _only(_table_of(folder, pickled)).structure.coordinates is not None


class _Program:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


class _Evaluation:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("__import__('os').mkdir('ran')",)


@pytest.mark.parametrize(
    ("hostile", "name"),
    [
        (_Program(), "posix.mkdir"),
        (_Evaluation(), "builtins.eval"),
        (datetime.date(2024, 1, 1), "datetime.date"),
        (np.array([None, "x"], object), "numpy data type 'O8'"),
        (np.zeros(2, [("a", "f4")]), "numpy data type 'V4'"),
        (np.dtype("f4").newbyteorder, "builtins.getattr"),
    ],
)
def test_anything_else_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile: object, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError, match=rf"t\.lmdb: entry '1' asks for {name}; only numpy arrays"):
        list(_table(tmp_path, _entry(), _entry(extra=hostile)).rows())
    assert not (tmp_path / "ran").exists()


def test_a_forged_array_is_a_damaged_row(tmp_path: Path) -> None:
    whole = pickle.dumps(_entry(coordinates=WATER), 2)
    forged = whole.replace(b"K\x03K\x03\x86", b"K\x09K\x03\x86")
    assert forged != whole
    rows = list(_table_of(tmp_path, whole, forged).rows())
    assert isinstance(rows[1], Reject)
    assert rows[1].reason.startswith("damaged pickle")


def test_damaged_entries_cost_one_row_each(tmp_path: Path) -> None:
    whole = pickle.dumps(_entry())
    contents = [
        whole,
        b"",
        whole[:-20],
        b"no pickle",
        pickle.dumps([1]),
        pickle.dumps(_entry(atoms=["O"])),
        pickle.dumps(_entry(coordinates=["x"])),
        pickle.dumps(_entry(smi="C\ud800")),
        whole,
    ]
    rows = list(_table_of(tmp_path, *contents).rows())
    assert [isinstance(row, Reject) for row in rows] == [False] + [True] * 7 + [False]
    reasons = [row.reason for row in rows if isinstance(row, Reject)]
    assert all(reason.startswith("damaged pickle") for reason in reasons[:3])
    assert reasons[3] == "holds list, expected a dictionary of smi, atoms, …"
    assert reasons[4] == "entry '5': coordinates [3, 3] for 1 atoms"
    assert [row.input for row in rows if isinstance(row, Reject)][-1] == "C\\ud800"


def test_a_file_that_was_cut_short_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    path = _written(tmp_path, *[pickle.dumps(_entry())] * 50)
    os.truncate(path, 8192 + 4096)
    with pytest.raises(TableError, match=r"t\.lmdb: cut short: 12288 of \d+ bytes"):
        read_table(str(path), ColumnChoice())


def test_several_readers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    table = _table(tmp_path, *[_entry()] * 3)
    first, second = table.rows(), table.rows()
    rows = [next(first).row, next(second).row, next(first).row]
    del first
    assert rows + [row.row for row in second] == [1, 1, 2, 2, 3]
    assert len(list(table.rows())) == 3


@pytest.mark.parametrize("content", [b"", b"smiles\nC\n" * 2000])
def test_another_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.lmdb"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"t\.lmdb: no LMDB file"):
        read_table(str(path), ColumnChoice())


def test_nothing_is_written_beside_a_gzipped_file(tmp_path: Path) -> None:
    path = _written(tmp_path, pickle.dumps(_entry()))
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "t.lmdb.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert _only(read_table(str(folder / "t.lmdb.gz"), ColumnChoice())).structure.smiles == "O"
    assert [path.name for path in folder.iterdir()] == ["t.lmdb.gz"]


def test_a_published_file_of_uni_mol(shared_dir: Path) -> None:
    table = read_table(str(shared_dir / "data" / "unimol_lmdb" / "clintox_valid.lmdb"), ColumnChoice())
    rows = [row for row in table.rows() if isinstance(row, InputRow)]
    assert len(rows) == 148
    assert table.label_names == ("target_0", "target_1")
    assert len({row.id for row in rows}) == 148
    for row in rows:
        given = row.structure.coordinates
        symbols = [
            atom.GetSymbol() for atom in Chem.AddHs(Chem.MolFromSmiles(row.structure.smiles)).GetAtoms()
        ]
        if given is not None:
            assert list(given.symbols) == symbols
            assert given.positions.shape[1:] == (len(symbols), 3)
    counts = [
        0 if row.structure.coordinates is None else len(row.structure.coordinates.positions) for row in rows
    ]
    assert {count: counts.count(count) for count in set(counts)} == {0: 3, 7: 1, 10: 144}
