"""Fine-tuning with real ranks: what is reported is what was saved."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.training.inference import predict_molecules
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.network import load_predictor
from unimol2_tasks.training.targets import Targets

VARIANTS: dict[str, dict[str, Any]] = {
    "zero-0": {},
    "zero-3": {"zero_stage": 3},
    "bf16": {"precision": "bf16", "zero_stage": 2},
    "long": {"epochs": 30, "learning_rate": 3e-3, "targets": ("weight",)},
    "impatient": {"epochs": 40, "patience": 2, "learning_rate": 1e-2, "targets": ("partial",)},
}


@pytest.fixture(scope="module")
def runs(train: Any) -> dict[str, RunFolder]:
    """From scratch: none of these starts from a pretrained model."""
    runs: dict[str, RunFolder] = train("finetune", VARIANTS)
    return runs


@pytest.fixture(scope="module")
def dataset(tiny_dataset: ArtifactRef) -> MoleculeDataset:
    return open_dataset(tiny_dataset.uri)


def _metrics(folder: Path) -> dict[str, float]:
    metrics: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    return metrics


def _validations(folder: Path) -> list[float]:
    return _curve(folder, "valid/loss")


def _curve(folder: Path, name: str) -> list[float]:
    with (folder / "curve.csv").open(newline="") as stream:
        return [float(row[name]) for row in csv.DictReader(stream) if row[name]]


def _reloaded(folder: Path, dataset: MoleculeDataset) -> tuple[Targets, NDArray[np.float64]]:
    """Outputs `[n, T]` of the saved predictor for the validation split, in batches of another size."""
    network, targets = load_predictor(folder)
    valid = dataset.indices("valid")
    return targets, predict_molecules(network, dataset, valid, 5, torch.device("cpu"))


def test_the_metrics_are_those_of_the_saved_predictor(
    tiny_predictor: ArtifactRef, dataset: MoleculeDataset
) -> None:
    folder = Path(tiny_predictor.uri)
    targets, outputs = _reloaded(folder, dataset)
    assert targets.names == dataset.label_names == ("weight", "aromatic", "partial")
    labels = np.stack([dataset.labels(int(index)) for index in dataset.indices("valid")])
    assert np.isnan(labels).any(), "some labels of the validation split have to be missing"

    error = np.abs(targets.to_natural(outputs) - labels)
    scaled = np.abs(outputs - (labels - targets.mean) / targets.std)
    losses = np.where(scaled < 1, scaled**2 / 2, scaled - 0.5)
    losses[:, 1] = -np.where(labels[:, 1] == 1, log_expit(outputs[:, 1]), log_expit(-outputs[:, 1]))
    assert _metrics(folder) == pytest.approx(
        {
            "valid/mae/weight": error[:, 0].mean(),
            "valid/mae/partial": np.nanmean(error[:, 2]),
            "valid/loss": np.nanmean(losses, axis=1).mean(),
        },
        rel=1e-5,
    )
    np.testing.assert_allclose(targets.to_natural(outputs)[:, 1], expit(outputs[:, 1]))


def test_values_and_classes_are_learned_together(
    tiny_predictor: ArtifactRef, dataset: MoleculeDataset
) -> None:
    targets, _ = _reloaded(Path(tiny_predictor.uri), dataset)
    assert [target.kind for target in targets.targets] == ["regression", "binary", "regression"]
    training = np.stack([dataset.labels(int(index)) for index in dataset.indices("train")])
    assert targets.mean == pytest.approx([training[:, 0].mean(), 0, np.nanmean(training[:, 2])])
    assert targets.std == pytest.approx([training[:, 0].std(), 1, np.nanstd(training[:, 2])])


def test_a_predictor_is_complete(tiny_predictor: ArtifactRef, tiny_model: ArtifactRef) -> None:
    artifact = Store().fetch(tiny_predictor.uri, "predictor")
    names = {path.name for path in artifact.path.iterdir()}
    assert names == {
        "manifest.json", "model.safetensors", "config.json", "targets.json", "metrics.json", "curve.csv",
    }  # fmt: skip
    assert artifact.manifest.parents["model"] == tiny_model.digest


def test_the_best_of_all_validations_is_kept(runs: dict[str, RunFolder], dataset: MoleculeDataset) -> None:
    folder = runs["impatient"].result
    validations = _validations(folder)
    assert min(validations) < validations[-1], "the run has to have become worse for this to be a test"
    assert _metrics(folder)["valid/loss"] == pytest.approx(min(validations), rel=1e-5)
    _, outputs = _reloaded(folder, dataset)
    assert outputs.shape == (len(dataset.indices("valid")), 1)


def test_a_network_learns_from_scratch(runs: dict[str, RunFolder]) -> None:
    losses = _curve(runs["long"].result, "train/loss")
    # Means, because a batch holds eight molecules.
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5]), losses


def test_training_ends_when_validation_has_not_improved_for_long_enough(
    runs: dict[str, RunFolder],
) -> None:
    validations = _validations(runs["impatient"].result)
    assert len(validations) < 40
    assert validations.index(min(validations)) == len(validations) - 3


def test_zero_3_learns_the_same_from_scratch(runs: dict[str, RunFolder]) -> None:
    whole, partitioned = (_validations(runs[name].result) for name in ("zero-0", "zero-3"))
    assert partitioned == pytest.approx(whole, rel=1e-5)
    assert _metrics(runs["zero-3"].result) == pytest.approx(_metrics(runs["zero-0"].result), rel=1e-5)


def test_bf16_learns_like_fp32_within_its_three_digits(runs: dict[str, RunFolder]) -> None:
    assert _validations(runs["bf16"].result) == pytest.approx(_validations(runs["zero-0"].result), rel=2e-2)
