"""Fit a scaling law to the loss curves of finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult, least_squares

from unimol2_tasks.scaling.law import ScalingLaw, ThirdTerm
from unimol2_tasks.scaling.metrics import score
from unimol2_tasks.scaling.points import Columns, CurvePoint, FloatArray, check_values, sizes_of

EXPONENT_RANGE = (-3.0, -1e-3)
"""Twice as steep as anything reported, and flat: wide enough that the bounds do not decide the fit."""
_OUTLIER_SCALE = 0.05
"""Relative error from which a point counts linearly: validation losses scatter by a few per cent at most."""
_EVALUATIONS = 200
"""Of the residuals, at most, per start: a start that creeps along a flat valley will not win."""
_SMALLEST_SHARE = 25.0
"""Logarithm: a term may be as small as e^-25 of the loss, which is none."""


@dataclass(frozen=True, slots=True)
class FittedLaw:
    """A fitted law and how well it describes the points it was fitted on."""

    law: ScalingLaw
    """The constants of the best of all starts."""
    third: ThirdTerm
    """The law's form."""
    metrics: dict[str, float]
    """What `score` says about the training points."""
    sizes: tuple[float, ...]
    """Distinct model sizes of the training points, in millions, ascending."""
    agreeing_starts: int
    """Starts that ended within 1 % of the best cost; one alone is a reason to distrust the fit."""


def fit_scaling_law(
    points: Sequence[CurvePoint], seed: int, starts: int = 16, third: ThirdTerm = "compute"
) -> FittedLaw:
    """Fit the constants by robust least squares on relative errors, from several random starts.

    Args:
        points: Measured losses of at least two model sizes. The paper measures every 10,000 steps
            and drops the first 200,000, which warm-up shapes (Uni-Mol2, "Scaling law").
        seed: Seed of the random starts.
        starts: Number of starts, at least 1.
        third: The form of the law.

    Raises:
        ValueError: If there are fewer than two sizes or two step counts, fewer points than
            constants, or a size, step or loss that is not positive and finite.
    """
    if starts < 1:
        raise ValueError(f"starts must be at least 1, got {starts}")
    problem = Problem.of(points, third)
    _check_points(points, problem.constants)
    rng = np.random.default_rng(seed)
    fits = [problem.solve(problem.random_start(rng)) for _ in range(starts)]
    best = min(fits, key=lambda fit: float(fit.cost))
    law = problem.law(best.x)
    return FittedLaw(
        law=law,
        third=third,
        metrics=score(law, points),
        sizes=sizes_of(points),
        agreeing_starts=sum(float(fit.cost) <= 1.01 * float(best.cost) + 1e-12 for fit in fits),
    )


def _check_points(points: Sequence[CurvePoint], constants: int) -> None:
    sizes = sizes_of(points)
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
    if len(points) < constants:
        raise ValueError(
            f"the law has {constants} constants, got only {len(points)} points: measure more steps"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """The fit in centred logarithms: weight k is ln(term k) at the points' geometric mean.

    Centred, a weight and its exponent are nearly uncorrelated, which raw constants are far from. The unknowns
    are the T weights, then the exponents; a constant third term has none.
    """

    log_inputs: FloatArray
    """ln(M), ln(S) and, with three terms, ln(C) or 0, minus their centres, [T, n]."""
    centres: FloatArray
    """Mean of each row of inputs, [T]."""
    log_loss: FloatArray
    """ln(loss), [n]."""
    exponents: int
    """How many terms have a free exponent."""

    @classmethod
    def of(cls, points: Sequence[CurvePoint], third: ThirdTerm) -> Problem:
        """Set up a fit.

        Raises:
            ValueError: If there are no points, or one is not positive and finite.
        """
        check_values(points)
        columns = Columns.of(points)
        log_m, log_s = np.log(columns.millions), np.log(columns.steps)
        thirds = {"compute": [log_m + log_s], "constant": [np.zeros_like(log_m)], "none": []}
        log_inputs = np.stack([log_m, log_s, *thirds[third]])
        centres = log_inputs.mean(axis=1)
        exponents = 3 if third == "compute" else 2
        return cls(log_inputs - centres[:, None], centres, np.log(columns.loss), exponents)

    @property
    def terms(self) -> int:
        """Number T of terms."""
        return len(self.log_inputs)

    @property
    def constants(self) -> int:
        """Free constants of the law; fewer points than that cannot determine it."""
        return self.terms + self.exponents

    def random_start(self, rng: np.random.Generator) -> FloatArray:
        """Split the typical loss at random over the terms, each with a random exponent."""
        shares = rng.dirichlet(np.ones(self.terms))
        weights = self.log_loss.mean() + np.log(np.maximum(shares, 1e-3))
        return np.concatenate([weights, rng.uniform(-1.5, -0.05, size=self.exponents)])

    def solve(self, start: FloatArray) -> OptimizeResult:
        """Run one bounded robust fit; the weights' logarithms keep the weights positive."""
        top = float(self.log_loss.max())
        lowest, highest = EXPONENT_RANGE
        lower = [top - _SMALLEST_SHARE] * self.terms + [lowest] * self.exponents
        upper = [top + 1.0] * self.terms + [highest] * self.exponents
        return least_squares(
            self._residuals,
            np.clip(start, lower, upper),
            jac=self._jacobian,
            bounds=(lower, upper),
            loss="soft_l1",
            f_scale=_OUTLIER_SCALE,
            max_nfev=_EVALUATIONS,
        )

    def unknowns(self, law: ScalingLaw) -> FloatArray:
        """Where a fit starts that goes on from a law; the inverse of `law`."""
        values = np.array([[law.a, law.b], [law.c, law.d], [law.e, law.f]])[: self.terms]
        floor = float(self.log_loss.max()) - _SMALLEST_SHARE
        with np.errstate(divide="ignore"):
            weights = np.maximum(np.log(values[:, 0]) + values[:, 1] * self.centres, floor)
        return np.concatenate([weights, values[: self.exponents, 1]])

    def law(self, solution: FloatArray) -> ScalingLaw:
        """Undo the centring."""
        exponents = self._all_exponents(solution)
        weights = np.exp(solution[: self.terms] - exponents * self.centres)
        pairs = [*zip(weights, exponents, strict=True), (0.0, 0.0)][:3]
        return ScalingLaw(*(float(constant) for pair in pairs for constant in pair))

    def _all_exponents(self, x: FloatArray) -> FloatArray:
        return np.pad(x[self.terms :], (0, self.terms - self.exponents))

    def _log_terms(self, x: FloatArray) -> FloatArray:
        weights = x[: self.terms, None]
        return np.asarray(weights + self._all_exponents(x)[:, None] * self.log_inputs)

    def _residuals(self, x: FloatArray) -> FloatArray:
        return np.asarray(np.logaddexp.reduce(self._log_terms(x), axis=0) - self.log_loss)

    def _jacobian(self, x: FloatArray) -> FloatArray:
        terms = self._log_terms(x)
        shares = np.exp(terms - np.logaddexp.reduce(terms, axis=0))  # [T, n]
        return np.concatenate([shares, (shares * self.log_inputs)[: self.exponents]]).T
