"""Small predictors with fresh weights, made in a second: what they say is nonsense, but always the same."""

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from unimol2_model import save_weights
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.chemistry.applicability import TRAINING
from unimol2_tasks.chemistry.fingerprints import morgan_fingerprints
from unimol2_tasks.params import ModelParams, PrepareParams
from unimol2_tasks.stages.prediction import passes as prediction_passes
from unimol2_tasks.training.inference_job import predict
from unimol2_tasks.training.job import Job, RunFolder
from unimol2_tasks.training.network import (
    MEMBERS,
    TARGETS,
    WEIGHTS,
    new_pretraining_model,
    new_property_model,
    write_config,
)
from unimol2_tasks.training.predictor_files import VALIDATION, write_predictions
from unimol2_tasks.training.targets import Target, Targets

TRAINING_SMILES = ("CCO", "c1ccccc1", "CC(=O)O")
MODEL = ModelParams(preset="tiny", blocks=2, atom_dim=32, heads=2, ffn_dim=32, pair_dim=16, pair_hidden_dim=8)
TARGET_KINDS = Targets(
    targets=(
        Target(name="logS", kind="regression", scaling="standard", mean=-3.0, std=2.0),
        Target(name="toxic", kind="binary"),
        Target(name="phase", kind="multiclass", classes=3),
    ),
    prepare=PrepareParams(conformers=2),
)
ERRORS = np.linspace(0.1, 2.0, 20)
"""Of logS, on 20 validation molecules."""


@pytest.fixture(scope="session")
def small_predictor(tmp_path_factory: pytest.TempPathFactory) -> ArtifactRef:
    """A predictor of one network: a regression, a binary and a multi-class label."""
    return written(tmp_path_factory.mktemp("small") / "predictor", members=1)


@pytest.fixture(scope="session")
def small_ensemble(tmp_path_factory: pytest.TempPathFactory) -> ArtifactRef:
    """The same labels, predicted by three networks."""
    return written(tmp_path_factory.mktemp("small") / "ensemble", members=3)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> ArtifactRef:
    """A model as pretraining makes it."""
    out, store = tmp_path_factory.mktemp("small") / "model", Store()
    with store.draft(str(out)) as draft:
        model = new_pretraining_model(MODEL, seed=5)
        save_weights(model, draft / WEIGHTS)
        write_config(draft, model.config)
        return store.publish(draft, str(out), Recipe("model", {}))


@pytest.fixture
def inference_here(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The inference job runs in this process, which needs no seconds to start; the runs' folders."""
    runs: list[Path] = []

    def infer_files(job: Job, params: object, folder: Path) -> None:
        runs.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        predict(job, RunFolder(folder), lambda: False)

    monkeypatch.setattr(prediction_passes, "infer_files", infer_files)
    return runs


def written(out: Path, members: int) -> ArtifactRef:
    """Publish a predictor with the files that fine-tuning writes."""
    store = Store()
    with store.draft(str(out)) as draft:
        (draft / TARGETS).write_text(TARGET_KINDS.model_dump_json(), encoding="utf-8")
        folders = [draft] if members == 1 else [draft / MEMBERS / f"seed-{k}" for k in range(members)]
        for seed, folder in enumerate(folders):
            folder.mkdir(parents=True, exist_ok=True)
            network = new_property_model(MODEL, None, TARGET_KINDS, 0.0, seed)
            save_weights(network, folder / WEIGHTS)
            write_config(folder, network.config)
            (folder / TARGETS).write_text(TARGET_KINDS.model_dump_json(), encoding="utf-8")
        _write_tables(draft)
        return store.publish(draft, str(out), Recipe("predictor", {"members": members}))


def _write_tables(folder: Path) -> None:
    import polars as pl

    smiles = [Chem.CanonSmiles(text) for text in TRAINING_SMILES]
    packed = [row.tobytes() for row in np.packbits(morgan_fingerprints(smiles), axis=1)]
    schema = {"id": pl.String, "fingerprint": pl.Binary}
    pl.DataFrame({"id": smiles, "fingerprint": packed}, schema=schema).write_parquet(folder / TRAINING)
    labels = np.zeros((len(ERRORS), 3))
    predictions = np.zeros((len(ERRORS), 5))
    predictions[:, 0] = ERRORS
    ids = [str(number) for number in range(len(ERRORS))]
    write_predictions(folder / VALIDATION, ids, labels, predictions, TARGET_KINDS)
