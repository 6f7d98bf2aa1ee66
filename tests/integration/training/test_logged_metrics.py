"""The metric in the log is the metric of the saved predictor, computed here from its files alone."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.metrics import roc_auc_score

from unimol2_model import ModelConfig, MoleculeBatch, UniMol2ForProperties
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import finetune

Array = NDArray[np.float64]
_COLUMNS = ["weight", "aromatic", "partial", "size=0", "size=1", "size=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logged")


@pytest.fixture(scope="module")
def labelled(folder: Path, tiny_table: Path, tiny_params: Params) -> ArtifactRef:
    """The tiny table with one more label, of three classes, and folds."""
    from unimol2_tasks.stages import prepare

    frame = pl.read_csv(tiny_table).with_columns((pl.col("weight") % 3).alias("size"))
    frame.write_csv(folder / "molecules.csv")
    params = tiny_params.prepare.model_copy(update={"folds": 4})
    return prepare.run(params, prepare.PrepareInputs(str(folder / "molecules.csv")), str(folder / "dataset"))


def _train(params: Params, dataset: str, out: Path, **values: Any) -> Path:
    changed = params.model_dump()
    changed["finetune"] |= {
        "ranks": 1, "task": {"size": "multiclass"}, "scaling": {"weight": "log"}, "head": "multitask",
        **values,
    }  # fmt: skip
    finetune.run(parse_params(changed), finetune.FinetuneInputs(dataset, None), str(out))
    return out


@pytest.fixture(scope="module")
def averaged(folder: Path, labelled: ArtifactRef, tiny_params: Params) -> Path:
    """A predictor of averaged weights, whose best validation is one of several."""
    values = {"ema_decay": 0.5, "learning_rate": 1e-2, "features": False}
    return _train(tiny_params, labelled.uri, folder / "averaged", **values)


@pytest.fixture(scope="module")
def ensemble(folder: Path, labelled: ArtifactRef, tiny_params: Params) -> Path:
    """Of two seeds, trained without a moving average."""
    return _train(tiny_params, labelled.uri, folder / "ensemble", seeds=[1, 2], fold=3)


def _outputs(folder: Path, dataset: MoleculeDataset, ids: list[str]) -> Array:
    """`[n, C]` of a network built from `config.json` and `model.safetensors`, one geometry at a time."""
    config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text()))
    network = UniMol2ForProperties(config, [1, 1, 1, 3]).eval()
    network.load_state_dict(load_file(folder / "model.safetensors"))
    features = json.loads((folder / "targets.json").read_text())["view"]["features"]
    records = {dataset.id(index): dataset.record(index) for index in range(len(dataset))}
    rows = []
    for name in ids:
        record = records[name]
        shown = [record.molecule(k) for k in range(record.conformers)] + [record.molecule(flat=True)]
        if not features:
            shown = [_without_features(molecule) for molecule in shown]
        with torch.no_grad():
            values = [network(MoleculeBatch.collate([molecule]))[0] for molecule in shown]
        rows.append(torch.stack(values).double().mean(dim=0).numpy())
    return np.stack(rows)


def _without_features(molecule: Any) -> Any:
    """As Uni-Mol2 hides them: 1 for every atom, bond and degree, 511 for every path."""
    changed = {
        name: np.full_like(getattr(molecule, name), 511 if name == "path_lengths" else 1)
        for name in ("atom_features", "degrees", "bond_features", "path_lengths")
    }
    kept = {name: getattr(molecule, name) for name in ("tokens", "pair_types", "positions")}
    return type(molecule)(**kept, **changed)


def _natural(outputs: Array, folder: Path) -> Array:
    """Label units and probabilities, by the formulas and `targets.json`."""
    weight, _, partial, _ = json.loads((folder / "targets.json").read_text())["targets"]
    natural = outputs.copy()
    natural[:, 0] = np.exp(outputs[:, 0] * weight["std"] + weight["mean"])
    natural[:, 1] = expit(outputs[:, 1])
    natural[:, 2] = outputs[:, 2] * partial["std"] + partial["mean"]
    natural[:, 3:] = softmax(outputs[:, 3:], axis=1)
    return natural


def _figures(natural: Array, labels: Array, prefix: str) -> dict[str, float]:
    weight, partial = natural[:, 0] - labels[:, 0], natural[:, 2] - labels[:, 2]
    return {
        f"{prefix}/mae/weight": np.abs(weight).mean(),
        f"{prefix}/rmse/weight": np.sqrt((weight**2).mean()),
        f"{prefix}/mae/partial": np.nanmean(np.abs(partial)),
        f"{prefix}/rmse/partial": np.sqrt(np.nanmean(partial**2)),
        f"{prefix}/roc_auc/aromatic": float(roc_auc_score(labels[:, 1], natural[:, 1])),
        f"{prefix}/accuracy/aromatic": float(((natural[:, 1] >= 0.5) == labels[:, 1]).mean()),
        f"{prefix}/accuracy/size": float((natural[:, 3:].argmax(axis=1) == labels[:, 3]).mean()),
    }


def _loss(outputs: Array, labels: Array, folder: Path) -> float:
    """Mean over molecules of the mean over their known labels, of smooth L1 and cross-entropies."""
    weight, _, partial, _ = json.loads((folder / "targets.json").read_text())["targets"]
    losses = np.full(labels.shape, np.nan)
    losses[:, 0] = _smooth(outputs[:, 0] - (np.log(labels[:, 0]) - weight["mean"]) / weight["std"])
    losses[:, 1] = -np.where(labels[:, 1] == 1, log_expit(outputs[:, 1]), log_expit(-outputs[:, 1]))
    losses[:, 2] = _smooth(outputs[:, 2] - (labels[:, 2] - partial["mean"]) / partial["std"])
    classes = labels[:, 3].astype(int)
    losses[:, 3] = -log_softmax(outputs[:, 3:], axis=1)[np.arange(len(classes)), classes]
    return float(np.nanmean(losses, axis=1).mean())


def _smooth(error: Array) -> Array:
    return np.where(np.abs(error) < 1, error**2 / 2, np.abs(error) - 0.5)


def _table(folder: Path, name: str = "validation.parquet") -> tuple[list[str], Array, Array]:
    frame = pl.read_parquet(folder / name)
    labels = frame.select(pl.col("^label:.*$").fill_null(np.nan)).to_numpy()
    return frame["id"].to_list(), labels, frame.select(f"prediction:{name}" for name in _COLUMNS).to_numpy()


def _metrics(folder: Path) -> dict[str, float]:
    metrics: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    return metrics


def _best_of_the_log(folder: Path) -> dict[str, float]:
    with (folder / "curve.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["valid/loss"]]
    assert len(rows) > 2
    best = min(rows, key=lambda row: float(row["valid/loss"]))
    return {name: float(value) for name, value in best.items() if name.startswith("valid/") and value}


def _check(folder: Path, dataset: MoleculeDataset) -> Array:
    """Log, metrics and predictions of one trained network against its weights."""
    ids, labels, predictions = _table(folder)
    assert np.isnan(labels).any(), "some labels of the validation molecules have to be missing"
    outputs = _outputs(folder, dataset, ids)
    expected = _figures(_natural(outputs, folder), labels, "valid")
    expected["valid/loss"] = _loss(outputs, labels, folder)
    assert _metrics(folder) == pytest.approx(expected, rel=1e-5)
    assert _best_of_the_log(folder) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(predictions, _natural(outputs, folder), rtol=1e-5)
    return predictions


def test_the_logged_metric_is_that_of_the_saved_predictor(averaged: Path, labelled: ArtifactRef) -> None:
    dataset = open_dataset(labelled.uri)
    _check(averaged, dataset)
    valid = [dataset.id(int(index)) for index in dataset.indices("valid")]
    assert _table(averaged)[0] == valid


def test_so_it_is_of_an_ensemble_and_of_each_of_its_members(ensemble: Path, labelled: ArtifactRef) -> None:
    dataset = open_dataset(labelled.uri)
    members = sorted((ensemble / "members").iterdir())
    assert [member.name for member in members] == ["fold-3-seed-1", "fold-3-seed-2"]
    predictions = np.stack([_check(member, dataset) for member in members])
    assert np.ptp(predictions, axis=0).max() > 1e-3, "the seeds have to differ for this to be a test"
    ids, labels, joined = _table(ensemble)
    assert ids == [dataset.id(int(index)) for index in np.flatnonzero(dataset.folds == 0)]
    np.testing.assert_allclose(joined, predictions.mean(axis=0), rtol=1e-6)
    expected = _figures(predictions.mean(axis=0), labels, "ensemble")
    for name in _metrics(members[0]):
        values = [_metrics(member)[name] for member in members]
        expected |= {name: np.mean(values), f"{name}/std": np.std(values, ddof=1)}
    assert _metrics(ensemble) == pytest.approx(expected, rel=1e-6)


def test_a_member_leaves_its_predictions_of_the_fold_that_it_never_saw(
    ensemble: Path, labelled: ArtifactRef
) -> None:
    dataset, member = open_dataset(labelled.uri), ensemble / "members" / "fold-3-seed-1"
    ids, _, predictions = _table(member, "out-of-fold.parquet")
    assert ids == [dataset.id(int(index)) for index in np.flatnonzero(dataset.folds == 3)]
    np.testing.assert_allclose(predictions, _natural(_outputs(member, dataset, ids), member), rtol=1e-5)
    training = pl.read_parquet(ensemble / "training.parquet")["id"].to_list()
    assert sorted(training) == sorted(dataset.id(int(k)) for k in np.flatnonzero(dataset.folds % 3 > 0))
