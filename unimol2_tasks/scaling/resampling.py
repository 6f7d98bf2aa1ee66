"""How sure a fitted law is: refits on resampled curves.

The points of a curve are no independent measurements: neighbours share weights, all share the validation
molecules, and a seed may move a whole curve. So each refit draws whole curves with replacement, at least
three sizes of them, and of each curve blocks of neighbouring steps (moving-block bootstrap, blocks of √n
points). With a handful of sizes the intervals are wide rather than narrow: a refit sees some three of five.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unimol2_tasks.scaling.fit import FittedLaw, Problem
from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.scaling.points import Columns, CurvePoint, FloatArray, rows_by_run, sizes_of

COVERAGE = 0.95
"""Of all intervals."""
_FEWEST_SIZES = 3
"""In a refit: two would leave the law's bend in size to chance."""
_STARTS = 2
"""Random starts of a refit, besides the law itself."""
Interval = tuple[float, float]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Replica:
    """One refit."""

    law: ScalingLaw
    residual: float
    """Relative residual of a point drawn at random, as a logarithm: what a new measurement adds."""


def resample(
    fitted: FittedLaw, points: Sequence[CurvePoint], replicas: int, seed: int
) -> tuple[Replica, ...]:
    """Refit the law to resampled curves.

    Args:
        fitted: The law, fitted to `points`.
        points: What it was fitted to.
        replicas: Number of refits.
        seed: Seed of the draws.
    """
    columns = Columns.of(points)
    residuals = np.log(columns.loss / fitted.law.predict(columns.millions, columns.steps))
    curves = rows_by_run(points)
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(replicas):
        drawn = [points[row] for row in _draw(points, curves, rng)]
        made.append(Replica(_refit(fitted, drawn, rng), float(rng.choice(residuals))))
    return tuple(made)


def intervals_of(replicas: Sequence[Replica]) -> dict[str, Interval]:
    """Intervals of the constants a to f."""
    return {name: central_interval([getattr(replica.law, name) for replica in replicas]) for name in "abcdef"}


def prediction_interval(
    replicas: Sequence[Replica], millions: npt.ArrayLike, steps: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Where a measured loss is to be expected: the law's doubt and a measurement's scatter.

    Returns:
        Lower and upper ends, in the broadcast shape of the arguments.
    """
    losses = [replica.law.predict(millions, steps) * np.exp(replica.residual) for replica in replicas]
    low, high = np.quantile(np.stack(losses), _ENDS, axis=0)
    return np.asarray(low), np.asarray(high)


def central_interval(values: npt.ArrayLike) -> Interval:
    """The central 95 % of values."""
    low, high = np.quantile(np.asarray(values, np.float64), _ENDS)
    return float(low), float(high)


_ENDS = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)


def _refit(fitted: FittedLaw, points: Sequence[CurvePoint], rng: np.random.Generator) -> ScalingLaw:
    problem = Problem.of(points, fitted.third)
    # From the law alone a refit would stay in its corner of a flat valley, and look too sure.
    starts = [problem.unknowns(fitted.law), *(problem.random_start(rng) for _ in range(_STARTS))]
    return problem.law(min((problem.solve(start) for start in starts), key=lambda fit: float(fit.cost)).x)


def _draw(points: Sequence[CurvePoint], curves: list[Rows], rng: np.random.Generator) -> Rows:
    """Rows of as many curves as there are, each in blocks of neighbouring steps."""
    wanted = min(_FEWEST_SIZES, len(sizes_of(points)))
    while True:
        chosen = [curves[place] for place in rng.integers(len(curves), size=len(curves))]
        if len({points[rows[0]].millions for rows in chosen}) >= wanted:
            return np.concatenate([_blocks(rows, rng) for rows in chosen])


def _blocks(rows: Rows, rng: np.random.Generator) -> Rows:
    length = round(np.sqrt(len(rows)))
    begins = rng.integers(len(rows) - length + 1, size=-(-len(rows) // length))
    places = (begins[:, None] + np.arange(length)).ravel()[: len(rows)]
    return np.asarray(rows[places])
