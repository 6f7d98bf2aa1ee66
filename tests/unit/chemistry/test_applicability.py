"""Applicability: the nearest training molecule, as RDKit would find it one by one."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from unimol2_tasks.chemistry import tanimoto
from unimol2_tasks.chemistry.applicability import TRAINING, TrainingSet
from unimol2_tasks.chemistry.fingerprints import morgan_fingerprints
from unimol2_tasks.errors import ArtifactError

TEXTS = (Path(__file__).parents[2] / "molecules.smi").read_text(encoding="utf-8").split()
SMILES = list(dict.fromkeys(Chem.CanonSmiles(text) for text in TEXTS))
TRAIN, QUERIES = SMILES[:25], SMILES[25:] + SMILES[:2]


def written(folder: Path, smiles: list[str]) -> Path:
    packed = np.packbits(morgan_fingerprints(smiles), axis=1)
    frame = {"id": [f"m{k}" for k in range(len(smiles))], "fingerprint": [row.tobytes() for row in packed]}
    pl.DataFrame(frame, schema={"id": pl.String, "fingerprint": pl.Binary}).write_parquet(folder / TRAINING)
    return folder / TRAINING


def test_the_nearest_molecule_is_the_one_that_rdkit_finds(tmp_path: Path) -> None:
    similarity, places = TrainingSet.read(written(tmp_path, TRAIN)).nearest(QUERIES)
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    training = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in TRAIN]
    for place, text in enumerate(QUERIES):
        query = generator.GetFingerprint(Chem.MolFromSmiles(text))
        expected = DataStructs.BulkTanimotoSimilarity(query, training)
        assert similarity[place] == pytest.approx(max(expected), abs=1e-6)
        assert expected[places[place]] == max(expected)
    assert similarity[-2:].tolist() == [1.0, 1.0]
    assert places[-2:].tolist() == [0, 1]


def test_pieces_find_what_the_whole_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = TrainingSet.read(written(tmp_path, TRAIN))
    similarity, places = training.nearest(QUERIES)
    monkeypatch.setattr(tanimoto, "BLOCK", 4)
    monkeypatch.setattr(tanimoto, "_CHUNK", 8)
    again, again_places = training.nearest(QUERIES)
    np.testing.assert_array_equal(again, similarity)
    np.testing.assert_array_equal(again_places, places)


def test_no_molecule_is_near_none(tmp_path: Path) -> None:
    similarity, places = TrainingSet.read(written(tmp_path, TRAIN)).nearest([])
    assert (len(similarity), len(places)) == (0, 0)


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"training\.parquet: missing"):
        TrainingSet.read(tmp_path / TRAINING)
    pl.DataFrame({"id": ["a"], "fingerprint": [b"short"]}).write_parquet(tmp_path / TRAINING)
    with pytest.raises(ArtifactError, match="fingerprint"):
        TrainingSet.read(tmp_path / TRAINING)
