"""The molecules that predictors are judged on, and their labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.chemistry.split_names import Split
from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.evaluation.labels import check_classes
from unimol2_tasks.stages.evaluation.candidates import Candidate
from unimol2_tasks.training.targets import Target, Targets


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The judged molecules of a dataset.

    Attributes:
        dataset: All n molecules.
        artifact: The dataset as an artifact.
        targets: What is predicted.
        labels: `[n, T]` of all molecules, NaN where unknown.
        indices: `[m]` which of them are judged.
        parts: Judged molecules `[m]` and those that models may learn from for them, as positions in the
            dataset: one pair, or one of every fold.
        split: The split that is judged; empty where every molecule is judged out of fold.
    """

    dataset: MoleculeDataset
    artifact: LocalArtifact
    targets: Targets
    labels: NDArray[np.float64]
    indices: NDArray[np.int64]
    parts: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]
    split: Split | None

    @property
    def ids(self) -> list[str]:
        """`[m]` names of the judged molecules."""
        return [self.dataset.id(int(index)) for index in self.indices]

    @property
    def smiles(self) -> list[str]:
        """`[m]` canonical SMILES of the judged molecules."""
        return [self.dataset.smiles(int(index)) for index in self.indices]

    def places(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where molecules of the dataset are among the judged ones, which hold them all."""
        return np.searchsorted(self.indices, positions)


def judged_molecules(
    dataset: MoleculeDataset, artifact: LocalArtifact, predictors: Mapping[str, Candidate], split: Split
) -> Judged:
    """Which molecules all predictors can be judged on.

    Raises:
        UserError: The predictors have different targets or have seen different molecules, or the molecules
            have no label of the targets, or one that is none of the predicted classes.
    """
    targets = _common_targets(predictors)
    labels = _labels(dataset, targets, artifact.uri)
    indices = _common_molecules(predictors, dataset, split)
    first = next(iter(predictors.values()))
    if not len(indices) or np.isnan(labels[indices]).all():
        where = "tested folds have" if first.folds else f"{split} split has"
        raise UserError(f"{artifact.uri}: the {where} no value of {', '.join(targets.names)}")
    if first.folds:
        return Judged(dataset, artifact, targets, labels, indices, _fold_parts(dataset, first), None)
    known = np.setdiff1d(np.concatenate([dataset.indices("train"), dataset.indices("valid")]), indices)
    return Judged(dataset, artifact, targets, labels, indices, ((indices, known),), split)


def _fold_parts(
    dataset: MoleculeDataset, predictor: Candidate
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    return tuple(
        (
            np.flatnonzero(dataset.folds == fold),
            np.flatnonzero((dataset.folds != fold) & (dataset.folds >= 0)),
        )
        for fold in sorted(set(predictor.folds.values()))
    )


def _common_targets(predictors: Mapping[str, Candidate]) -> Targets:
    """The targets of the first predictor; the others must have the same, of the same kinds."""
    first, *others = predictors.items()
    predicted = _kinds(first[1].targets)
    for name, other in others:
        if _kinds(other.targets) != predicted:
            raise UserError(
                f"predictor {name} predicts {', '.join(_kinds(other.targets))}, "
                f"but {first[0]} predicts {', '.join(predicted)}; compare like with like"
            )
    return first[1].targets


def _kinds(targets: Targets) -> list[str]:
    """Names of the labels and what they are predicted as."""
    found = []
    for target in targets.targets:
        classes = f" of {target.classes} classes" if target.kind == "multiclass" else ""
        found.append(f"{target.name} ({target.kind}{classes})")
    return found


def _common_molecules(
    predictors: Mapping[str, Candidate], dataset: MoleculeDataset, split: Split
) -> NDArray[np.int64]:
    first, *others = predictors.items()
    if first[1].folds and split != "test":
        raise UserError(
            f"evaluate.split: {split}: {first[0]} was trained on folds of this dataset and is judged on "
            "those that it has not seen; leave it at test"
        )
    indices = first[1].judged(dataset, split)
    for name, other in others:
        if not np.array_equal(other.judged(dataset, split), indices):
            raise UserError(
                f"predictor {name} has kept other molecules for testing than {first[0]}: one was trained on "
                "folds; train both alike (finetune.fold, finetune.cross_validate)"
            )
    return indices


def _labels(dataset: MoleculeDataset, targets: Targets, uri: str) -> NDArray[np.float64]:
    """`[n, T]` labels of the whole dataset in the predictor's order."""
    missing = [name for name in targets.names if name not in dataset.label_names]
    if missing:
        raise UserError(
            f"{uri}: no label column {', '.join(missing)}; it has: {', '.join(dataset.label_names) or 'none'}"
        )
    columns = [list(dataset.label_names).index(name) for name in targets.names]
    labels = np.stack([dataset.labels(index) for index in range(len(dataset))])[:, columns]
    for target, values in zip(targets.targets, labels.T, strict=True):
        _refuse_other_classes(target, values, uri)
    return labels


def _refuse_other_classes(target: Target, values: NDArray[np.float64], uri: str) -> None:
    if target.kind == "regression":
        return
    try:
        check_classes(values[~np.isnan(values)], max(2, target.classes))
    except ValueError as error:
        raise UserError(
            f"{uri}: column {target.name}: {error}; it was learnt as {target.kind}. Prepare the "
            "dataset with those classes, without means of duplicates that disagree "
            "(prepare.duplicate_labels=drop-conflicting), or judge a predictor that has learnt a number"
        ) from None
