"""Intervals around metrics by resampling the molecules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from unimol2_tasks.evaluation.labels import FloatArray, Interval, labelled_rows

_LEAST_DEFINED = 0.5
"""Share of resamples in which a metric must be defined; below it an interval would be a guess."""
_WITHOUT = frozenset({"n", "calibration_error"})
"""A resample repeats molecules, so that its bins are less calibrated than those of the molecules themselves:
the percentiles of the calibration error would lie above it."""


def bootstrap_intervals(
    metrics: Callable[[FloatArray, FloatArray], Mapping[str, float]],
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    seed: int,
    samples: int = 200,
) -> dict[str, Interval]:
    """Compute 95 % percentile intervals of several metrics by resampling labelled rows together.

    Args:
        metrics: A function such as `metrics.regression_metrics`.
        y_true: Labels, [n]; NaN marks a missing one.
        y_pred: Predictions, [n] or [n, classes].
        seed: Seed of the resampling; two methods with the same rows and seed see the same resamples.
        samples: Number of resamples, at least 1.

    Returns:
        (low, high) per metric, `n` and `calibration_error` left out. A metric that is undefined in more
        than half of the resamples has no interval; where it is undefined in fewer, those resamples are left
        out. A single row has none: its resamples are all alike.

    Raises:
        ValueError: If `samples` is below 1, or the arrays are refused as by the metrics.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    true, pred = labelled_rows(y_true, y_pred)
    if len(true) < 2:
        return {}
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(samples):
        rows = rng.integers(0, len(true), size=len(true))
        for name, value in metrics(true[rows], pred[rows]).items():
            if np.isfinite(value):
                drawn.setdefault(name, []).append(value)
    return {
        name: _percentiles(values)
        for name, values in drawn.items()
        if name not in _WITHOUT and len(values) >= _LEAST_DEFINED * samples
    }


def _percentiles(values: list[float]) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
