"""Fit the scaling law to the loss curves of finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult, least_squares

from unimol2_tasks.scaling.law import ScalingLaw

FloatArray = npt.NDArray[np.float64]

_CONSTANTS = 6
"""Free constants of the law; fewer points than that cannot determine it."""
_EXPONENT_RANGE = (-3.0, -1e-3)
"""Twice as steep as anything reported, and flat: wide enough that the bounds do not decide the fit."""
_OUTLIER_SCALE = 0.05
"""Relative error from which a point counts linearly: validation losses scatter by a few per cent at most."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One measured validation loss."""

    run: str
    """Name of the run, for messages."""
    millions: float
    """Model size in millions of parameters."""
    steps: float
    """Optimiser steps done when the loss was measured."""
    loss: float
    """Validation loss, positive."""


@dataclass(frozen=True, slots=True)
class FittedLaw:
    """A fitted law and how well it describes the points it was fitted on."""

    law: ScalingLaw
    """The constants of the best of all starts."""
    metrics: dict[str, float]
    """What `score` says about the training points."""
    sizes: tuple[float, ...]
    """Distinct model sizes of the training points, in millions, ascending."""
    agreeing_starts: int
    """Starts that ended within 1 % of the best cost; one alone is a reason to distrust the fit."""


def fit_scaling_law(points: Sequence[CurvePoint], seed: int, starts: int = 16) -> FittedLaw:
    """Fit the six constants by robust least squares on relative errors, from several random starts.

    Args:
        points: Measured losses of at least two model sizes. The paper measures every 10,000 steps
            and drops the first 200,000, which warm-up shapes (Uni-Mol2, "Scaling law").
        seed: Seed of the random starts.
        starts: Number of starts, at least 1.

    Raises:
        ValueError: If there are fewer than two sizes or two step counts, fewer points than
            constants, or a size, step or loss that is not positive and finite.
    """
    if starts < 1:
        raise ValueError(f"starts must be at least 1, got {starts}")
    _check_points(points)
    problem = _Problem.of(points)
    rng = np.random.default_rng(seed)
    fits = [problem.solve(problem.random_start(rng)) for _ in range(starts)]
    best = min(fits, key=lambda fit: float(fit.cost))
    law = problem.law(best.x)
    return FittedLaw(
        law=law,
        metrics=score(law, points),
        sizes=tuple(sorted({float(point.millions) for point in points})),
        agreeing_starts=sum(float(fit.cost) <= 1.01 * float(best.cost) + 1e-12 for fit in fits),
    )


def score(law: ScalingLaw, points: Sequence[CurvePoint]) -> dict[str, float]:
    """Compare a law with measured losses.

    Returns:
        `n`; `rmae`, the mean of |predicted - measured| / measured; `mse` in squared loss units; `r2`,
        the coefficient of determination; `pearson`. The last two are absent where they are undefined:
        fewer than two points, or constant values.

    Raises:
        ValueError: If there are no points, or one is not positive and finite.
    """
    _check_values(points)
    measured = np.array([point.loss for point in points])
    predicted = law.predict([point.millions for point in points], [point.steps for point in points])
    error = predicted - measured
    metrics = {
        "n": float(len(points)),
        "rmae": float(np.mean(np.abs(error) / measured)),
        "mse": float(np.mean(error**2)),
    }
    if np.ptp(measured) > 0:
        metrics["r2"] = float(1 - np.sum(error**2) / np.sum((measured - measured.mean()) ** 2))
        if np.ptp(predicted) > 0:
            metrics["pearson"] = float(np.corrcoef(measured, predicted)[0, 1])
    return metrics


def _check_values(points: Sequence[CurvePoint]) -> None:
    if not points:
        raise ValueError("the scaling law needs measured points, got none")
    for point in points:
        for name in ("millions", "steps", "loss"):
            value = getattr(point, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(
                    f"run {point.run!r}: {name} must be positive and finite, got {value} "
                    f"(at step {point.steps}); leave the point out, or correct the run's curve"
                )


def _check_points(points: Sequence[CurvePoint]) -> None:
    _check_values(points)
    sizes = sorted({float(point.millions) for point in points})
    if len(sizes) < 2:
        raise ValueError(
            f"the scaling law needs runs of at least 2 model sizes, got only {sizes[0]:g}M: "
            "pretrain another size and fit again"
        )
    steps = {float(point.steps) for point in points}
    if len(steps) < 2:
        raise ValueError(
            f"the scaling law needs losses at 2 or more step counts, got only step {steps.pop():g}: "
            "evaluate more often, or drop fewer early steps"
        )
    if len(points) < _CONSTANTS:
        raise ValueError(
            f"the law has {_CONSTANTS} constants, got only {len(points)} points: measure more steps"
        )


@dataclass(frozen=True, slots=True)
class _Problem:
    """The fit in centred logarithms: weight k is ln(term k) at the points' geometric mean.

    Centred, a weight and its exponent are nearly uncorrelated, which raw constants are far from.
    """

    log_inputs: FloatArray
    """ln(M), ln(S), ln(C) minus their centres, [3, n]."""
    centres: FloatArray
    """Mean of ln(M), ln(S), ln(C), [3]."""
    log_loss: FloatArray
    """ln(loss), [n]."""

    @classmethod
    def of(cls, points: Sequence[CurvePoint]) -> _Problem:
        log_m = np.log([point.millions for point in points])
        log_s = np.log([point.steps for point in points])
        log_inputs = np.stack([log_m, log_s, log_m + log_s])
        centres = log_inputs.mean(axis=1)
        return cls(log_inputs - centres[:, None], centres, np.log([point.loss for point in points]))

    def random_start(self, rng: np.random.Generator) -> FloatArray:
        """Split the typical loss at random over the three terms, each with a random exponent, [6]."""
        shares = rng.dirichlet(np.ones(3))
        weights = self.log_loss.mean() + np.log(np.maximum(shares, 1e-3))
        return np.concatenate([weights, rng.uniform(-1.5, -0.05, size=3)])

    def solve(self, start: FloatArray) -> OptimizeResult:
        """Run one bounded robust fit; the weights' logarithms keep a, c and e positive."""
        top = float(self.log_loss.max())
        lowest, highest = _EXPONENT_RANGE
        return least_squares(
            self._residuals,
            start,
            jac=self._jacobian,
            bounds=([top - 25.0] * 3 + [lowest] * 3, [top + 1.0] * 3 + [highest] * 3),
            loss="soft_l1",
            f_scale=_OUTLIER_SCALE,
            max_nfev=2000,
        )

    def law(self, solution: FloatArray) -> ScalingLaw:
        """Undo the centring."""
        exponents = solution[3:]
        a, c, e = np.exp(solution[:3] - exponents * self.centres)
        b, d, f = exponents
        return ScalingLaw(float(a), float(b), float(c), float(d), float(e), float(f))

    def _log_terms(self, x: FloatArray) -> FloatArray:
        return np.asarray(x[:3, None] + x[3:, None] * self.log_inputs)

    def _residuals(self, x: FloatArray) -> FloatArray:
        return np.asarray(np.logaddexp.reduce(self._log_terms(x), axis=0) - self.log_loss)

    def _jacobian(self, x: FloatArray) -> FloatArray:
        terms = self._log_terms(x)
        shares = np.exp(terms - np.logaddexp.reduce(terms, axis=0))  # [3, n]
        return np.concatenate([shares, shares * self.log_inputs]).T
