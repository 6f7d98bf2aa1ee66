"""How far predicted losses are from measured ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.scaling.points import Columns, CurvePoint, check_values


def score(law: ScalingLaw, points: Sequence[CurvePoint]) -> dict[str, float]:
    """Compare a law with measured losses; see `compare`.

    Raises:
        ValueError: If there are no points, or one is not positive and finite.
    """
    check_values(points)
    columns = Columns.of(points)
    return compare(law.predict(columns.millions, columns.steps), columns.loss)


def compare(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> dict[str, float]:
    """Compare predictions with positive measured losses, [n] each.

    Returns:
        `n`; `rmae`, the mean of |predicted - measured| / measured; `bias`, the mean of (predicted - measured)
        / measured; `mse` in squared loss units; `r2`, the coefficient of determination; `pearson`. The last
        two are absent where they are undefined: fewer than two points, or constant values.
    """
    expected, actual = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
    error = expected - actual
    metrics = {
        "n": float(len(actual)),
        "rmae": float(np.mean(np.abs(error) / actual)),
        "bias": float(np.mean(error / actual)),
        "mse": float(np.mean(error**2)),
    }
    if np.ptp(actual) > 0:
        metrics["r2"] = float(1 - np.sum(error**2) / np.sum((actual - actual.mean()) ** 2))
        if np.ptp(expected) > 0:
            metrics["pearson"] = float(np.corrcoef(actual, expected)[0, 1])
    return metrics
