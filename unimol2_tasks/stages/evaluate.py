"""Evaluation: how good a predictor is on a split it has not seen, beside honest baselines."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks import progress
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact, Recipe, Store
from unimol2_tasks.chemistry.drawing import draw_svg
from unimol2_tasks.chemistry.fingerprints import morgan_fingerprints
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.evaluation.baselines import fingerprint_baselines, mean_baseline
from unimol2_tasks.evaluation.contents import (
    LineageStep,
    Report,
    ScoreRow,
    TargetResult,
    WorstPrediction,
)
from unimol2_tasks.evaluation.metrics import bootstrap_intervals, classification_metrics, regression_metrics
from unimol2_tasks.evaluation.report import render_report
from unimol2_tasks.params import EvaluateParams, Params
from unimol2_tasks.stages.curves import training_curves
from unimol2_tasks.stages.inference import infer
from unimol2_tasks.training.job import Job
from unimol2_tasks.training.network import TARGETS
from unimol2_tasks.training.targets import Target, Targets

Array = NDArray[np.float64]
_UNITS = frozenset({"eV", "debye", "Debye", "Hartree", "bohr", "nm"})
MEAN = "mean of the training set"


@dataclass(frozen=True, slots=True)
class EvaluateInputs:
    """What is judged, and on what."""

    predictor: str
    dataset: str
    """A labelled dataset; its `evaluate.split` is judged, its `train` feeds the baselines."""
    compare: Mapping[str, str] = field(default_factory=dict)
    """Other predictors by the name they get in the table: `{"from scratch": "runs/scratch"}`."""
    curves: Mapping[str, str] = field(default_factory=dict)
    """Further models whose learning curves are shown: `{"pretraining": "runs/model"}`."""


def run(params: Params, inputs: EvaluateInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Judge a predictor and write `metrics.json`, `predictions.csv` and `report.html`.

    Raises:
        UserError: An artifact is missing, or the split has no label of the predictor's targets.
        TrainingFailed: Inference ended without a result.
    """
    dataset = store.fetch(inputs.dataset, "dataset")
    predictors = {
        name: store.fetch(uri, "predictor")
        for name, uri in {"Uni-Mol2": inputs.predictor, **inputs.compare}.items()
    }
    models = {name: store.fetch(uri, "model") for name, uri in inputs.curves.items()}
    recipe = Recipe(
        "report",
        {"evaluate": params.evaluate.model_dump(mode="json"), "names": [*predictors, *models]},
        {"dataset": dataset.manifest.digest}
        | {name: artifact.manifest.digest for name, artifact in {**predictors, **models}.items()},
    )
    found = store.find(recipe, out)
    if found is not None:
        return found
    with store.draft(out) as draft, store.draft(out) as work:
        judged = _judge(params, dataset, predictors, work)
        judged.write(draft, {**models, **predictors}, params)
        return store.publish(draft, out, recipe)


@dataclass(frozen=True, slots=True)
class _Judged:
    """Labels, predictions and scores of the judged split."""

    dataset: MoleculeDataset
    artifact: LocalArtifact
    indices: NDArray[np.int64]
    targets: Targets
    results: tuple[TargetResult, ...]
    params: EvaluateParams

    def write(self, folder: Path, artifacts: Mapping[str, LocalArtifact], params: Params) -> None:
        metrics = {
            result.name: {row.method: dict(row.metrics) for row in result.rows} for result in self.results
        }
        text = json.dumps(metrics, indent=1, sort_keys=True) + "\n"
        (folder / "metrics.json").write_text(text, encoding="utf-8")
        self._write_predictions(folder / "predictions.csv")
        report = Report(
            title="Uni-Mol2 evaluation",
            summary=f"{len(self.indices):,} molecules of the {self.params.split} split, "
            f"separated by {self.targets.prepare.split}; the network has never seen their labels.",
            targets=self.results,
            curves=training_curves(artifacts),
            worst=tuple(self._worst()),
            data_card=self._data_card(),
            parameters=params.model_dump(mode="json"),
            lineage=[
                LineageStep(artifact.manifest.kind, name, artifact.manifest.digest)
                for name, artifact in {"labelled data": self.artifact, **artifacts}.items()
            ],
        )
        (folder / "report.html").write_text(render_report(report), encoding="utf-8")

    def _write_predictions(self, path: Path) -> None:
        import polars as pl

        columns: dict[str, Any] = {
            "id": [self.dataset.id(int(index)) for index in self.indices],
            "smiles": [self.dataset.smiles(int(index)) for index in self.indices],
        }
        for result in self.results:
            columns[result.name] = np.asarray(result.y_true)
            columns[f"{result.name} predicted"] = np.asarray(result.y_pred)
        pl.DataFrame(columns, nan_to_null=True).write_csv(path)

    def _worst(self) -> Iterator[WorstPrediction]:
        first = self.results[0]
        true, predicted = np.asarray(first.y_true), np.asarray(first.y_pred)
        error = np.nan_to_num(np.abs(true - predicted), nan=-1.0)
        for place in np.argsort(-error, kind="stable")[: self.params.worst]:
            if error[place] < 0:
                return
            smiles = self.dataset.smiles(int(self.indices[place]))
            yield WorstPrediction(
                smiles, draw_svg(smiles), first.name, float(true[place]), float(predicted[place])
            )

    def _data_card(self) -> dict[str, str]:
        rows = self.artifact.manifest.rows
        card = {
            f"{split} molecules": f"{len(self.dataset.indices(split)):,}"
            for split in ("train", "valid", "test")
        }
        if rows is not None:
            card |= {"rows in": f"{rows.rows_in:,}", "rows rejected": f"{rows.rejects:,}"}
        return card | {"split": self.targets.prepare.split, "dataset": self.artifact.uri}


def _judge(
    params: Params, artifact: LocalArtifact, predictors: Mapping[str, LocalArtifact], work: Path
) -> _Judged:
    dataset = open_dataset(artifact.path)
    targets = _common_targets(predictors)
    indices = dataset.indices(params.evaluate.split)
    labels = _labels(dataset, targets, artifact.uri)
    if not len(indices) or np.isnan(labels[indices]).all():
        raise UserError(
            f"{artifact.uri}: the {params.evaluate.split} split has no value of {', '.join(targets.names)}"
        )
    predictions: dict[str, Array] = {}
    for number, (name, predictor) in enumerate(predictors.items()):
        job = Job(
            kind="predict",
            dataset=artifact.path.absolute(),
            model=predictor.path.absolute(),
            params=params,
        )
        predictions[name] = infer(job, params, work / f"predictor-{number}")[indices]
    fingerprints = morgan_fingerprints([dataset.smiles(index) for index in range(len(dataset))])
    results = []
    for k, target in enumerate(targets.targets):
        progress.report("evaluate", k, len(targets.targets), target.name)
        methods = {name: values[:, k] for name, values in predictions.items()}
        baselines = _baselines(target, labels[:, k], fingerprints, dataset, indices, params.evaluate.seed)
        results.append(_score(target, labels[indices, k], methods, baselines, params.evaluate))
    progress.report("evaluate", len(results), len(results))
    return _Judged(dataset, artifact, indices, targets, tuple(results), params.evaluate)


def _common_targets(predictors: Mapping[str, LocalArtifact]) -> Targets:
    """The targets of the first predictor; the others must have the same."""
    read = {
        name: Targets.model_validate_json((artifact.path / TARGETS).read_text(encoding="utf-8"))
        for name, artifact in predictors.items()
    }
    first, *others = read.items()
    for name, targets in others:
        if targets.names != first[1].names:
            raise UserError(
                f"predictor {name} predicts {', '.join(targets.names)}, "
                f"but {first[0]} predicts {', '.join(first[1].names)}; compare like with like"
            )
    return first[1]


def _labels(dataset: MoleculeDataset, targets: Targets, uri: str) -> Array:
    """`[n, T]` labels of the whole dataset in the predictor's order."""
    missing = [name for name in targets.names if name not in dataset.label_names]
    if missing:
        raise UserError(
            f"{uri}: no label column {', '.join(missing)}; it has: {', '.join(dataset.label_names) or 'none'}"
        )
    columns = [list(dataset.label_names).index(name) for name in targets.names]
    return np.stack([dataset.labels(index) for index in range(len(dataset))])[:, columns]


def _baselines(
    target: Target,
    labels: Array,
    fingerprints: NDArray[np.uint8],
    dataset: MoleculeDataset,
    indices: NDArray[np.int64],
    seed: int,
) -> dict[str, Array]:
    """Baselines learn from train and valid together: unlike the network they need no validation."""
    known = np.setdiff1d(np.concatenate([dataset.indices("train"), dataset.indices("valid")]), indices)
    learned = fingerprint_baselines(
        fingerprints[known], labels[known], fingerprints[indices], target.kind, seed, n_jobs=-1
    )
    return {MEAN: mean_baseline(labels[known], len(indices)), **learned}


def _score(
    target: Target,
    labels: Array,
    methods: Mapping[str, Array],
    baselines: Mapping[str, Array],
    params: EvaluateParams,
) -> TargetResult:
    measure = classification_metrics if target.kind == "binary" else regression_metrics
    rows = [
        ScoreRow(
            name,
            measure(labels, values),
            bootstrap_intervals(measure, labels, values, params.seed, params.bootstrap)
            if params.bootstrap
            else None,
            is_baseline=name in baselines,
        )
        for name, values in {**methods, **baselines}.items()
    ]
    return TargetResult(
        target.name, _unit(target.name), target.kind, labels, next(iter(methods.values())), rows
    )


def _unit(label: str) -> str:
    """The unit that a label's name carries, as in `gap_eV` or `gap (eV)`; empty where it carries none."""
    if label.endswith(")") and "(" in label:
        return label[:-1].rpartition("(")[2]
    unit = label.rpartition("_")[2]
    return unit if unit in _UNITS else ""
