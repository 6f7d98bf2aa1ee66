"""Molecules for one pass: what a shard holds, without its labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unimol2_tasks.chemistry.preparation import prepare_molecule
from unimol2_tasks.datasets import molecule_files
from unimol2_tasks.datasets.molecule_files import (
    count_molecules,
    molecule_file,
    read_molecules,
    write_molecules,
)
from unimol2_tasks.datasets.molecule_files import molecule_files as files_of
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.datasets.shards import ShardWriter
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.params import PrepareParams

SMILES = ("CCO", "c1ccccc1", "C", "CC(=O)O", "N")


@pytest.fixture(scope="module")
def records() -> list[MoleculeRecord]:
    params = PrepareParams(conformers=2)
    return [
        MoleculeRecord.of(prepare_molecule(smiles, params), row, f"m{row}", (float(row),))
        for row, smiles in enumerate(SMILES, start=1)
    ]


def test_the_shards_of_a_dataset_are_read_in_order(
    tmp_path: Path, records: list[MoleculeRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(molecule_files, "_PIECE", 2)
    with ShardWriter(tmp_path, 3, ("label",)) as shards:
        for record in records:
            shards.write(record)
    files = files_of(tmp_path)
    assert [count_molecules(file) for file in files] == [3, 2]
    pieces = [piece for file in files for piece in read_molecules(file)]
    assert [len(piece) for piece in pieces] == [2, 1, 2]
    found = [piece.record(place) for piece in pieces for place in range(len(piece))]
    assert [record.smiles for record in found] == [record.smiles for record in records]
    for one, other in zip(found, records, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        assert one.labels == ()
    assert pieces[0].atoms.tolist() == [3, 6]
    assert pieces[0].conformers.tolist() == [record.conformers for record in records[:2]]


def test_a_file_of_units_is_read_like_a_shard(tmp_path: Path, records: list[MoleculeRecord]) -> None:
    path = tmp_path / molecule_file("unit-00000007")
    path.parent.mkdir()
    write_molecules(path, [replace(record, labels=()) for record in records])
    (piece,) = read_molecules(path)
    assert [record.id for record in piece.records] == ["m1", "m2", "m3", "m4", "m5"]


def test_a_damaged_file_is_named(tmp_path: Path, records: list[MoleculeRecord]) -> None:
    path = tmp_path / "part-00000.parquet"
    write_molecules(path, [replace(records[0], labels=())])
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"part-00000\.parquet"):
        list(read_molecules(path))
