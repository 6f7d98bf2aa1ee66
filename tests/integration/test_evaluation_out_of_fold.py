"""Evaluation of ensembles and of cross-validated predictors."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.chemistry.applicability import TRAINING
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.evaluation.uncertainty import conformal_halfwidth
from unimol2_tasks.params import Params
from unimol2_tasks.stages import ensemble, evaluate, prepare
from unimol2_tasks.stages.evaluation.candidates import Candidate
from unimol2_tasks.training.inference import predict_molecules
from unimol2_tasks.training.network import WEIGHTS, load_predictor
from unimol2_tasks.training.predictor_files import (
    OUT_OF_FOLD,
    VALIDATION,
    write_predictions,
    write_training_molecules,
)

FOLDS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out-of-fold")


@pytest.fixture(scope="module")
def folded(folder: Path, tiny_table: Path, tiny_params: Params) -> ArtifactRef:
    """The molecules in three folds."""
    params = tiny_params.prepare.model_copy(update={"folds": FOLDS})
    return prepare.run(params, prepare.PrepareInputs(str(tiny_table)), str(folder / "dataset"))


@pytest.fixture(scope="module")
def member(folder: Path, folded: ArtifactRef, tiny_predictor: ArtifactRef) -> Callable[[int, int], str]:
    """Predictors as trainings on folds leave them, but with disturbed weights instead of a training."""

    def publish(fold: int, seed: int) -> str:
        out = folder / f"fold-{fold}-seed-{seed}"
        if out.exists():
            return str(out)
        store, dataset = Store(), open_dataset(folded.uri)
        artifact = store.fetch(tiny_predictor.uri)
        params: dict[str, Any] = artifact.manifest.params
        recipe = Recipe(
            "predictor",
            params | {"finetune": params["finetune"] | {"fold": fold, "seed": seed}},
            {"dataset": folded.digest},
        )
        with store.draft(str(out)) as draft:
            shutil.copytree(artifact.path, draft, dirs_exist_ok=True)
            (draft / "manifest.json").unlink()
            _disturb(draft / WEIGHTS, 10 * fold + seed)
            _write_tables(draft, dataset, fold)
            store.publish(draft, str(out), recipe)
        return str(out)

    return publish


@pytest.fixture(scope="module")
def cross_validated(folder: Path, member: Callable[[int, int], str]) -> ArtifactRef:
    members = [member(fold, seed) for fold in range(FOLDS) for seed in (0, 1)]
    return ensemble.run(members, str(folder / "cross-validated"))


@pytest.fixture(scope="module")
def report(folder: Path, folded: ArtifactRef, cross_validated: ArtifactRef, tiny_params: Params) -> Path:
    inputs = evaluate.EvaluateInputs(cross_validated.uri, folded.uri)
    return Path(evaluate.run(_params(tiny_params), inputs, str(folder / "report")).uri)


def test_every_molecule_is_predicted_by_the_networks_that_have_not_seen_it(
    report: Path, folded: ArtifactRef, member: Callable[[int, int], str]
) -> None:
    dataset = open_dataset(folded.uri)
    frame = pl.read_csv(report / "predictions.csv")
    assert frame["id"].to_list() == [dataset.id(index) for index in range(len(dataset))]
    for index in (0, 7, len(dataset) - 1):
        answers = [_answers(Path(member(int(dataset.folds[index]), seed)), dataset, index) for seed in (0, 1)]
        assert frame["prediction:weight"][index] == pytest.approx(np.mean(answers), rel=1e-4)
        assert frame["std:weight"][index] == pytest.approx(np.std(answers, ddof=1), rel=1e-2)


def test_members_are_scored_on_their_own_fold(report: Path) -> None:
    members = json.loads((report / "members.json").read_text())["weight"]
    assert len(members["mae"]["values"]) == 2 * FOLDS
    assert members["mae"]["mean"] == pytest.approx(np.mean(members["mae"]["values"]))
    assert members["mae"]["std"] == pytest.approx(np.std(members["mae"]["values"], ddof=1))
    # The folds part the molecules, and every fold has two networks.
    assert sum(members["n"]["values"]) == 2 * 40


def test_intervals_of_a_fold_rest_on_the_errors_of_the_others(report: Path, folded: ArtifactRef) -> None:
    dataset = open_dataset(folded.uri)
    frame = pl.read_csv(report / "predictions.csv")
    error = np.abs(frame["prediction:weight"] - frame["label:weight"]).to_numpy()
    half = ((frame["upper:weight"] - frame["lower:weight"]) / 2).to_numpy()
    for fold in range(FOLDS):
        assert half[dataset.folds == fold] == pytest.approx(
            conformal_halfwidth(error[dataset.folds != fold], 0.9), rel=1e-4
        )
    metrics = json.loads((report / "metrics.json").read_text())["weight"]["Uni-Mol2"]
    assert metrics["coverage_90"] == pytest.approx(np.mean(error <= half))
    assert metrics["interval_width_90"] == pytest.approx(2 * half.mean())


def test_the_nearest_training_molecule_is_of_another_fold(report: Path, folded: ArtifactRef) -> None:
    dataset = open_dataset(folded.uri)
    folds = {dataset.id(index): int(dataset.folds[index]) for index in range(len(dataset))}
    for row in pl.read_csv(report / "predictions.csv").iter_rows(named=True):
        tested, nearest = folds[row["id"]], folds[row["nearest training molecule"]]
        assert nearest not in {tested, (tested + 1) % FOLDS}


def test_baselines_are_fitted_once_per_fold(report: Path, folded: ArtifactRef) -> None:
    dataset = open_dataset(folded.uri)
    weight = list(dataset.label_names).index("weight")
    labels = np.array([dataset.labels(index)[weight] for index in range(len(dataset))])
    means = np.array([labels[dataset.folds != fold].mean() for fold in dataset.folds])
    metrics = json.loads((report / "metrics.json").read_text())["weight"]
    assert metrics[evaluate.MEAN]["mae"] == pytest.approx(np.abs(labels - means).mean())


def test_groups_part_the_molecules(report: Path) -> None:
    groups = json.loads((report / "groups.json").read_text())["weight"]
    assert set(groups["split"]) == {f"fold {fold}" for fold in range(FOLDS)}
    assert {"split", "novelty", "similarity", "size"} <= set(groups)
    for parts in groups.values():
        assert sum(part["n"] for part in parts.values()) == 40


def test_networks_of_one_fold_are_judged_on_that_fold(
    folder: Path, folded: ArtifactRef, member: Callable[[int, int], str]
) -> None:
    store, dataset = Store(), open_dataset(folded.uri)
    seeds = ensemble.run([member(1, seed) for seed in (0, 1)], str(folder / "two-seeds")).uri
    for predictor, fold in ((member(2, 0), 2), (seeds, 1)):
        candidate = Candidate.of(store.fetch(predictor), store.fetch(folded.uri))
        assert candidate.judged(dataset, "test").tolist() == np.flatnonzero(dataset.folds == fold).tolist()
        assert not candidate.is_cross_validated


def test_what_another_dataset_was_parted_into_does_not_matter(
    tiny_dataset: ArtifactRef, member: Callable[[int, int], str]
) -> None:
    store, dataset = Store(), open_dataset(tiny_dataset.uri)
    candidate = Candidate.of(store.fetch(member(2, 0)), store.fetch(tiny_dataset.uri))
    assert not candidate.is_own
    assert candidate.judged(dataset, "test").tolist() == dataset.indices("test").tolist()


def test_predictors_that_have_seen_different_molecules_are_not_compared(
    folder: Path, folded: ArtifactRef, member: Callable[[int, int], str], tiny_params: Params
) -> None:
    inputs = evaluate.EvaluateInputs(member(0, 0), folded.uri, {"other": member(1, 0)})
    with pytest.raises(UserError, match="other has kept other molecules for testing"):
        evaluate.run(_params(tiny_params), inputs, str(folder / "refused"))


def test_molecules_that_folds_were_trained_on_are_not_judged(
    folder: Path, folded: ArtifactRef, member: Callable[[int, int], str], tiny_params: Params
) -> None:
    with pytest.raises(UserError, match="leave it at test"):
        evaluate.run(
            _params(tiny_params, split="train"),
            evaluate.EvaluateInputs(member(0, 0), folded.uri),
            str(folder / "refused"),
        )


def _params(params: Params, **changes: Any) -> Params:
    values = {"baselines": (), "bootstrap": 0, "worst": 2, **changes}
    return params.model_copy(update={"evaluate": params.evaluate.model_copy(update=values)})


def _disturb(weights: Path, seed: int) -> None:
    torch.manual_seed(seed)
    tensors = load_file(weights)
    with weights.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    noisy = {name: tensor + 0.05 * torch.randn_like(tensor) for name, tensor in tensors.items()}
    save_file(noisy, weights, header["__metadata__"])


def _write_tables(folder: Path, dataset: MoleculeDataset, fold: int) -> None:
    networks, targets = load_predictor(folder)
    columns = [list(dataset.label_names).index(name) for name in targets.names]
    parts = {
        VALIDATION: np.flatnonzero(dataset.folds == (fold + 1) % FOLDS),
        OUT_OF_FOLD: np.flatnonzero(dataset.folds == fold),
    }
    for name, indices in parts.items():
        with torch.no_grad():
            outputs = predict_molecules(
                networks[""], dataset, indices, 64, torch.device("cpu"), view=targets.view
            )
        labels = np.stack([dataset.labels(int(index)) for index in indices])[:, columns]
        ids = [dataset.id(int(index)) for index in indices]
        write_predictions(folder / name, ids, labels, targets.to_natural(outputs), targets)
    train = np.flatnonzero(~np.isin(dataset.folds, [fold, (fold + 1) % FOLDS]))
    write_training_molecules(folder / TRAINING, dataset, train)


def _answers(predictor: Path, dataset: MoleculeDataset, index: int) -> float:
    networks, targets = load_predictor(predictor)
    with torch.no_grad():
        outputs = predict_molecules(
            networks[""], dataset, np.array([index]), 64, torch.device("cpu"), view=targets.view
        )
    return float(targets.to_natural(outputs)[0, targets.columns_of("weight")][0])
