import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unimol2_tasks.chemistry.preparation import PreparedMolecule, prepare_molecule
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.datasets.shards import ShardWriter, open_dataset, write_splits
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.params import PrepareParams

SMILES = ("C", "CCO", "c1ccccc1O", "[Na+].[Cl-]", "CC(=O)Oc1ccccc1C(=O)O")


@pytest.fixture(scope="module")
def prepared() -> list[PreparedMolecule]:
    return [prepare_molecule(smiles, PrepareParams(conformers=2)) for smiles in SMILES]


@pytest.fixture
def folder(tmp_path: Path, prepared: list[PreparedMolecule]) -> Path:
    with ShardWriter(tmp_path, rows_per_shard=2, label_names=("logS", "pIC50")) as shards:
        for number, molecule in enumerate(prepared, start=1):
            values = {field.name: getattr(molecule, field.name) for field in fields(molecule)}
            labels = (None if number == 2 else number / 4, float(number))
            shards.write(MoleculeRecord(**values, row=number * 10, id=f"mol {number}", labels=labels))
    write_splits(tmp_path, [f"mol {n}" for n in range(1, 6)], ["train", "test", "train", "valid", "train"])
    return tmp_path


def test_every_molecule_comes_back_as_it_was(folder: Path, prepared: list[PreparedMolecule]) -> None:
    dataset = open_dataset(folder)
    assert len(dataset) == len(prepared)
    assert dataset.atoms.tolist() == [1, 3, 7, 2, 13]
    for index, molecule in enumerate(prepared):
        record = dataset.record(index)
        assert (record.smiles, record.inchikey, record.scaffold) == (
            molecule.smiles,
            molecule.inchikey,
            molecule.scaffold,
        )
        assert (record.row, record.id, record.method) == (
            (index + 1) * 10,
            f"mol {index + 1}",
            molecule.method,
        )
        np.testing.assert_array_equal(record.positions, molecule.positions)
        np.testing.assert_array_equal(record.atom_map, molecule.atom_map)
        for conformer, flat in ((0, False), (1, False), (0, True)):
            ours, theirs = record.molecule(conformer, flat), molecule.molecule(conformer, flat)
            for field in fields(ours):
                np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))


def test_labels_names_and_splits(folder: Path) -> None:
    dataset = open_dataset(folder)
    assert dataset.label_names == ("logS", "pIC50")
    assert dataset.labels(0).tolist() == [0.25, 1.0]
    assert math.isnan(dataset.labels(1)[0])
    assert dataset.indices("train").tolist() == [0, 2, 4]
    assert dataset.indices("valid").tolist() == [3]
    assert (dataset.id(4), dataset.smiles(1), dataset.scaffold(2)) == ("mol 5", "CCO", "c1ccccc1")


def test_shards_hold_what_they_may(folder: Path) -> None:
    rows = [pq.read_metadata(path).num_rows for path in sorted((folder / "molecules").iterdir())]
    assert rows == [2, 2, 1]


def test_no_molecule_outside_the_dataset(folder: Path) -> None:
    for index in (5, -1):
        with pytest.raises(IndexError, match="of a dataset of 5"):
            open_dataset(folder).record(index)


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def _with_column(name: str, values: Any) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.get_field_index(name), name, values(table))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["tokens"]), "column_in_dataframe: tokens"),
        (lambda table: table.append_column("extra", [[1, 2]]), "column_in_schema: extra"),
        (_with_column("atoms", lambda table: pa.array(["1", "3"])), "column atoms"),
        (
            _with_column("positions", lambda table: pa.array([b"1", b"2"])),
            "size of positions fails for 2 of 2",
        ),
        (lambda table: table.slice(0, 1), "1 molecules, the index lists 2"),
    ],
)
def test_a_wrong_shard_is_named(folder: Path, change: Callable[[pa.Table], pa.Table], message: str) -> None:
    _rewrite(folder / "molecules" / "part-00000.parquet", change)
    with pytest.raises(ArtifactError, match=rf"part-00000\.parquet: .*{message}"):
        open_dataset(folder)


def test_a_truncated_shard_is_named(folder: Path) -> None:
    path = folder / "molecules" / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"part-00001\.parquet: damaged"):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["molecules/part-00002.parquet", "index.parquet", "splits.parquet"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name}: missing"):
        open_dataset(folder)


def test_a_failed_writer_leaves_no_index(tmp_path: Path, prepared: list[PreparedMolecule]) -> None:
    values = {field.name: getattr(prepared[0], field.name) for field in fields(prepared[0])}
    record = MoleculeRecord(**values, row=1, id="a", labels=())
    with pytest.raises(ArtifactError, match="inchikey"), ShardWriter(tmp_path, 1, ()) as shards:
        shards.write(replace(record, inchikey="no key"))
    assert not (tmp_path / "index.parquet").exists()
