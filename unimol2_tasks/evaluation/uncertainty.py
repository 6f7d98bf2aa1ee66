"""How far a prediction may be off: split-conformal intervals, their measured coverage, and the spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from unimol2_tasks.evaluation.binning import bin_means, equal_mass_bins
from unimol2_tasks.evaluation.labels import FloatArray, Interval, regression_rows

LEVELS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Levels at which intervals are checked: from what half of the molecules need to what nearly all need."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many labels lie inside the intervals that were to hold a given share of them."""

    level: float
    """The share that the intervals were made for."""
    halfwidth: float
    """Prediction ± this, or ln prediction ± this, on average; infinite where too few molecules calibrate."""
    covered: int
    """Labels that lie inside."""
    n: int
    """Labels that were looked at."""

    @property
    def fraction(self) -> float:
        """The share of the labels that lie inside; NaN where there is no label."""
        return self.covered / self.n if self.n else math.nan

    @property
    def interval(self) -> Interval:
        """95 % interval of that share by Wilson, "Probable inference" (1927); (0, 1) without labels."""
        if not self.n:
            return 0.0, 1.0
        found = stats.binomtest(self.covered, self.n).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)


def absolute_errors(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, logarithmic: bool = False) -> FloatArray:
    """What intervals are calibrated with.

    Args:
        y_true: Labels, [n]; NaN marks a missing one. Above 0 where logarithmic.
        y_pred: Predictions, [n], in the same unit. Above 0 where logarithmic.
        logarithmic: Whether the errors are |ln prediction - ln label| instead of |prediction - label|.

    Returns:
        [n], NaN where the label is missing.
    """
    true, pred = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    return np.abs(np.log(pred) - np.log(true)) if logarithmic else np.abs(pred - true)


def conformal_interval(
    y_pred: npt.ArrayLike, halfwidth: npt.ArrayLike, logarithmic: bool = False
) -> tuple[FloatArray, FloatArray]:
    """The interval around every prediction.

    Args:
        y_pred: Predictions, [n].
        halfwidth: From `conformal_halfwidth` of `absolute_errors` of the same kind, one or [n].
        logarithmic: Whether it is one of logarithms: prediction / e^halfwidth to prediction · e^halfwidth.

    Returns:
        Lower and upper ends, [n] each, in the predictions' unit.
    """
    pred, half = np.asarray(y_pred, np.float64), np.asarray(halfwidth, np.float64)
    if logarithmic:
        return pred * np.exp(-half), pred * np.exp(half)
    return pred - half, pred + half


def conformal_halfwidth(absolute_errors: npt.ArrayLike, coverage: float) -> float:
    """Half the width of intervals that hold a new label with at least the probability `coverage`.

    Split conformal prediction: the ceil((n + 1) · coverage)-th smallest of the n absolute errors on
    molecules that were not trained on. It holds whatever the errors' distribution is, as long as a new
    molecule might as well have been one of these (Lei et al., "Distribution-free predictive inference for
    regression", 2018, theorem 2.2).

    Args:
        absolute_errors: |prediction - label| of the calibration molecules, or of their logarithms, [n], in
            any order; NaN marks a missing label.
        coverage: The wanted share of labels inside, between 0 and 1.

    Returns:
        The half-width in the errors' unit; infinite where n is below coverage / (1 - coverage), so that
        no finite interval can promise it.

    Raises:
        ValueError: If `coverage` is not between 0 and 1, or an error is negative.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must be between 0 and 1, got {coverage}")
    errors = np.asarray(absolute_errors, dtype=np.float64).ravel()
    errors = np.sort(errors[~np.isnan(errors)])
    if len(errors) and errors[0] < 0:
        raise ValueError(f"absolute errors cannot be negative, got {errors[0]}")
    # Rounded first: 100 · 0.55 is 55.00000000000001 in binary, which would take the 56th.
    rank = math.ceil(round((len(errors) + 1) * coverage, 9))
    return float(errors[rank - 1]) if rank <= len(errors) else math.inf


def measured_coverage(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    halfwidth: npt.ArrayLike,
    level: float,
    logarithmic: bool = False,
) -> Coverage:
    """Count the labels inside the `conformal_interval` of their prediction.

    Args:
        y_true: Labels, [n]; NaN marks a missing one, whose row is left out.
        y_pred: Predictions, [n], in the same unit.
        halfwidth: From `conformal_halfwidth`, one or [n]; may be infinite.
        level: The share that it was made for.
        logarithmic: Whether `halfwidth` is one of logarithms.

    Raises:
        ValueError: If the shapes differ or are not 1-D, or a value is infinite, or a prediction NaN.
    """
    true, pred = regression_rows(y_true, y_pred)
    width = np.broadcast_to(np.asarray(halfwidth, np.float64), np.shape(y_true))
    width = width[~np.isnan(np.asarray(y_true, np.float64))]
    low, high = conformal_interval(pred, width, logarithmic)
    covered = int(((low <= true) & (true <= high)).sum())
    return Coverage(level, float(width.mean()) if len(width) else math.nan, covered, len(true))


def binned_errors(
    score: npt.ArrayLike, absolute_error: npt.ArrayLike, bins: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """The mean absolute error of molecules in equally filled bins of a score, such as a spread.

    Args:
        score: What the molecules are ordered by, [n]; equal scores stay in one bin.
        absolute_error: |prediction - label|, [n]; NaN marks a missing label.
        bins: Bins at most.

    Returns:
        The mean score, the mean error and its 95 % interval (low, high; normal approximation) per bin.
    """
    by, error = np.asarray(score, dtype=np.float64), np.asarray(absolute_error, dtype=np.float64)
    known = ~np.isnan(error) & ~np.isnan(by)
    by, error = by[known], error[known]
    if not len(by):
        return (np.empty(0),) * 4
    member = equal_mass_bins(by, bins)
    count, mean = np.bincount(member), bin_means(error, member)
    variance = np.bincount(member, (error - mean[member]) ** 2) / np.maximum(count - 1, 1)
    margin = stats.norm.ppf(0.975) * np.sqrt(variance / count)
    return bin_means(by, member), mean, np.maximum(mean - margin, 0), mean + margin
