"""Conformal intervals of the judged molecules, from errors on molecules that were not trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.evaluation.uncertainty import (
    LEVELS,
    Coverage,
    absolute_errors,
    conformal_halfwidth,
    conformal_interval,
    measured_coverage,
)
from unimol2_tasks.stages.evaluation.asked import Array
from unimol2_tasks.stages.evaluation.candidates import Candidate
from unimol2_tasks.stages.evaluation.judged import Judged
from unimol2_tasks.training.predictor_files import VALIDATION, read_predictions

LEVEL = 0.9
"""The level whose intervals are drawn and printed."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Errors of a predictor on v molecules that it was not trained on.

    Attributes:
        errors: `[v, C]` |prediction - label|, or |ln prediction - ln label|; NaN where there is no label.
        parts: `[v]` the fold of each, where they are the judged molecules themselves; else all -1.
        judged: `[m]` the fold of each judged molecule, or -1.
        logarithmic: The outputs whose errors are those of logarithms.
    """

    errors: Array
    parts: NDArray[np.int64]
    judged: NDArray[np.int64]
    logarithmic: frozenset[int] = frozenset()

    def halfwidths(self, column: int, level: float) -> Array:
        """`[m]` for an output: from the errors on all molecules, but not on those of the same fold."""
        widths = np.empty(len(self.judged))
        for part in np.unique(self.judged):
            others = (self.parts != part) | (self.parts < 0)
            widths[self.judged == part] = conformal_halfwidth(self.errors[others, column], level)
        return widths

    def interval(self, column: int, predictions: Array, level: float) -> tuple[Array, Array]:
        """`[m]` lower and upper ends around the predictions `[m]` of an output."""
        halfwidths = self.halfwidths(column, level)
        return conformal_interval(predictions, halfwidths, column in self.logarithmic)

    def coverage(self, column: int, labels: Array, predictions: Array) -> list[Coverage]:
        """The measured coverage of an output at every level; labels and predictions are `[m]`."""
        return [
            measured_coverage(
                labels, predictions, self.halfwidths(column, level), level, column in self.logarithmic
            )
            for level in LEVELS
        ]


def calibration(predictor: Candidate, judged: Judged) -> Calibration | None:
    """What intervals of the judged molecules can be calibrated with.

    The intervals of a cross-validated predictor rest on the errors of the other folds. There are none for
    the molecules that it was trained on or chosen by: their errors are smaller than those of new ones.
    """
    if predictor.is_own and judged.split in ("train", "valid"):
        return None
    ids, labels, predictions = read_predictions(predictor.path / VALIDATION, predictor.targets)
    errors = np.full(predictions.shape, np.nan)
    logarithmic = set()
    for k, target in enumerate(predictor.targets.targets):
        if target.kind == "regression":
            column = predictor.targets.columns_of(target.name).start
            errors[:, column] = absolute_errors(labels[:, k], predictions[:, column], target.logarithmic)
            logarithmic |= {column} if target.logarithmic else set()
    parts, own = np.full(len(ids), -1), np.full(len(judged.indices), -1)
    if predictor.is_cross_validated:
        parts, own = _folds_of(ids, judged.dataset), judged.dataset.folds[judged.indices].astype(int)
    return Calibration(errors, parts, own, frozenset(logarithmic))


def _folds_of(ids: list[str], dataset: MoleculeDataset) -> NDArray[np.int64]:
    folds = {dataset.id(index): int(fold) for index, fold in enumerate(dataset.folds)}
    return np.array([folds[name] for name in ids], np.int64)
