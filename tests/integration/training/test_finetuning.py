"""Fine-tuning with real ranks: what is reported is what was saved."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit

from unimol2_tasks import Predictor
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.chemistry.applicability import TrainingSet
from unimol2_tasks.chemistry.split_names import SPLITS
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.params import Params
from unimol2_tasks.stages import finetune, prepare
from unimol2_tasks.training.inference import predict_molecules
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.network import load_predictor
from unimol2_tasks.training.predictor_files import VALIDATION, read_predictions
from unimol2_tasks.training.targets import Targets
from unimol2_tasks.training.validation import label_metrics

VARIANTS: dict[str, dict[str, Any]] = {
    "zero-0": {},
    "zero-3": {"zero_stage": 3},
    "bf16": {"precision": "bf16", "zero_stage": 2},
    "long": {"epochs": 30, "learning_rate": 3e-3, "targets": ("weight",), "best_by": "mae"},
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
    """Outputs `[n, C]` of the saved predictor for the validation split, in batches of another size."""
    networks, targets = load_predictor(folder)
    valid = dataset.indices("valid")
    return targets, predict_molecules(networks[""], dataset, valid, 5, torch.device("cpu"), view=targets.view)


def test_values_and_classes_are_learned_together(
    tiny_predictor: ArtifactRef, dataset: MoleculeDataset
) -> None:
    targets, outputs = _reloaded(Path(tiny_predictor.uri), dataset)
    assert [target.kind for target in targets.targets] == ["regression", "binary", "regression"]
    training = np.stack([dataset.labels(int(index)) for index in dataset.indices("train")])
    weight, _, partial = targets.targets
    assert (weight.mean, weight.std) == pytest.approx((training[:, 0].mean(), training[:, 0].std()))
    assert (partial.mean, partial.std) == pytest.approx(
        (np.nanmean(training[:, 2]), np.nanstd(training[:, 2]))
    )
    np.testing.assert_allclose(targets.to_natural(outputs)[:, 1], expit(outputs[:, 1]))


def test_what_was_trained_on_is_published_for_similarity(
    tiny_predictor: ArtifactRef, dataset: MoleculeDataset
) -> None:
    training = TrainingSet.read(Path(tiny_predictor.uri) / "training.parquet")
    indices = dataset.indices("train")
    assert list(training.ids) == [dataset.id(int(index)) for index in indices]
    similarity, nearest = training.nearest([dataset.smiles(int(index)) for index in indices])
    assert similarity == pytest.approx(1.0)
    assert nearest.tolist() == list(range(len(indices)))


def test_a_predictor_is_complete(tiny_predictor: ArtifactRef, tiny_model: ArtifactRef) -> None:
    artifact = Store().fetch(tiny_predictor.uri, "predictor")
    names = {path.name for path in artifact.path.iterdir()}
    assert names == {
        "manifest.json", "model.safetensors", "config.json", "targets.json", "metrics.json", "curve.csv",
        "deepspeed.json", "training.parquet", "validation.parquet",
    }  # fmt: skip
    assert artifact.manifest.parents["model"] == tiny_model.digest


@pytest.mark.parametrize("name", ["zero-0", "zero-3"])
def test_what_two_ranks_publish_is_what_the_saved_network_says(
    runs: dict[str, RunFolder], dataset: MoleculeDataset, name: str
) -> None:
    folder = runs[name].result
    targets, outputs = _reloaded(folder, dataset)
    ids, labels, predictions = read_predictions(folder / VALIDATION, targets)
    assert ids == [dataset.id(int(index)) for index in dataset.indices("valid")]
    np.testing.assert_allclose(predictions, targets.to_natural(outputs), rtol=1e-5, atol=1e-6)
    figures = label_metrics(targets.to_natural(outputs), labels, targets, "valid")
    assert _metrics(folder) == pytest.approx(
        {"valid/loss": _metrics(folder)["valid/loss"], **figures}, rel=1e-5
    )


def test_a_dataset_that_was_split_by_a_file_makes_a_predictor(
    tiny_table: Path, dataset: MoleculeDataset, tiny_params: Params, tmp_path: Path
) -> None:
    splits = tmp_path / "splits.csv"
    parts = [f"{dataset.id(int(i))},{part}" for part in SPLITS for i in dataset.indices(part)]
    splits.write_text("\n".join(["id,split", *parts]))
    given = tiny_params.prepare.model_copy(update={"split": "file", "split_file": str(splits)})
    prepared = prepare.run(given, prepare.PrepareInputs(str(tiny_table)), str(tmp_path / "dataset"))
    short = {"finetune": tiny_params.finetune.model_copy(update={"epochs": 1})}
    predictor = finetune.run(
        tiny_params.model_copy(update=short),
        finetune.FinetuneInputs(prepared.uri, None),
        str(tmp_path / "predictor"),
    )
    table = Predictor.load(predictor.uri).predict(["CCO"])
    assert np.isfinite(table["prediction:weight"][0])


def test_the_best_of_all_validations_is_kept(runs: dict[str, RunFolder], dataset: MoleculeDataset) -> None:
    folder = runs["impatient"].result
    validations = _validations(folder)
    assert min(validations) < validations[-1], "the run has to have become worse for this to be a test"
    assert _metrics(folder)["valid/loss"] == pytest.approx(min(validations), rel=1e-5)
    _, outputs = _reloaded(folder, dataset)
    assert outputs.shape == (len(dataset.indices("valid")), 1)


def test_the_best_may_be_that_of_another_figure(runs: dict[str, RunFolder]) -> None:
    folder = runs["long"].result
    errors, losses = _curve(folder, "valid/mae/weight"), _validations(folder)
    kept = losses[errors.index(min(errors))]
    assert kept > min(losses), "the loss has to have another best for this to be a test"
    assert _metrics(folder)["valid/mae/weight"] == pytest.approx(min(errors), rel=1e-5)
    assert _metrics(folder)["valid/loss"] == pytest.approx(kept, rel=1e-5)


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
