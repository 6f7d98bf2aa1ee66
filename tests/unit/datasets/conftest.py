"""Stored molecules for the tests of datasets."""

from pathlib import Path

import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef, Rows
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.chemistry.preparation import prepare_molecule
from unimol2_tasks.chemistry.splits import Split
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.datasets.shards import ShardWriter, write_splits
from unimol2_tasks.params import PrepareParams

SMILES = ("C", "CCO", "c1ccccc1O", "[Na+].[Cl-]", "CC(=O)Oc1ccccc1C(=O)O")
LABELS = ("logS", "pIC50")


@pytest.fixture(scope="session")
def records() -> list[MoleculeRecord]:
    """Five molecules of 1, 3, 7, 2 and 13 heavy atoms, of rows 10 to 50; the second lacks a label."""
    return [
        MoleculeRecord.of(
            prepare_molecule(smiles, PrepareParams(conformers=2, prune_rmsd=0)),
            number * 10,
            f"mol {number}",
            (None if number == 2 else number / 4, float(number)),
        )
        for number, smiles in enumerate(SMILES, start=1)
    ]


@pytest.fixture
def folder(tmp_path: Path, records: list[MoleculeRecord]) -> Path:
    """A dataset without a manifest: the five molecules in shards of two."""
    folder = tmp_path / "dataset"
    write_dataset(folder, records)
    return folder


@pytest.fixture
def published(tmp_path: Path, records: list[MoleculeRecord]) -> ArtifactRef:
    """The same as an artifact."""
    store = Store()
    out = str(tmp_path / "published")
    with store.draft(out) as draft:
        write_dataset(draft, records)
        counts = Rows(rows_in=len(records), out=len(records), rejects=0)
        return store.publish(draft, out, Recipe("dataset", {}), counts)


def write_dataset(folder: Path, records: list[MoleculeRecord]) -> None:
    with ShardWriter(folder, rows_per_shard=2, label_names=LABELS) as shards:
        for record in records:
            shards.write(record)
    splits: tuple[Split, ...] = ("train", "test", "train", "valid", "train")
    write_splits(folder, [record.id for record in records], splits, [0, 1, None, 2, 0])
