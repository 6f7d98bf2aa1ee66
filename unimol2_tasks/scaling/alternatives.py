"""What simpler predictions would have said: more constants must pay off where nothing was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unimol2_tasks.scaling.fit import fit_scaling_law
from unimol2_tasks.scaling.law import ThirdTerm
from unimol2_tasks.scaling.metrics import compare, score
from unimol2_tasks.scaling.points import Columns, CurvePoint, sizes_of

FORMS: dict[str, ThirdTerm] = {
    "a·M^b + c·S^d + e·C^f": "compute",
    "a·M^b + c·S^d + e": "constant",
    "a·M^b + c·S^d": "none",
}
"""The paper's law; one whose last term is a loss that nothing removes; one without it."""
NO_LAW = "no law: the curve of the largest fitted size"


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to predict, fitted to the same points as the law."""

    name: str
    constants: int
    """How many it has to fit."""
    fitted: dict[str, float]
    """Metrics on the points of the fit."""
    tested: dict[str, float]
    """Metrics on the points that were held out; empty without any."""


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """A size of the fit, predicted from the sizes below it alone."""

    sizes: tuple[float, ...]
    """What it was predicted from, in millions of parameters."""
    predicted: float
    """The size, in millions of parameters."""
    rmae: dict[str, float]
    """Error on the last part of its curve, by the name of the method."""


def alternatives(
    points: Sequence[CurvePoint], held_out: Sequence[CurvePoint], seed: int, starts: int
) -> tuple[Alternative, ...]:
    """Fit every form to the same points and judge each on the same held-out ones.

    A form with more constants than there are points is left out.

    Args:
        points: What is fitted; the held-out points have no part in it.
        held_out: What is judged on; may be empty.
        seed: Seed of the starts.
        starts: Starts of each fit.
    """
    made = []
    for name, third in FORMS.items():
        constants = {"compute": 6, "constant": 5, "none": 4}[third]
        if constants <= len(points):
            law = fit_scaling_law(points, seed, starts, third).law
            tested = score(law, held_out) if held_out else {}
            made.append(Alternative(name, constants, score(law, points), tested))
    tested = _without_law(points, held_out) if held_out else {}
    return (*made, Alternative(NO_LAW, 0, {}, tested))


def extrapolations(
    points: Sequence[CurvePoint], seed: int, starts: int, share: float = 1 / 8
) -> tuple[Extrapolation, ...]:
    """Predict each size of the fit but the two smallest from those below it.

    A record of how such predictions fare that needs none of the held-out sizes. A size is left out where
    those below it have too few losses, or losses of one step only: no law can be fitted to them.

    Args:
        points: The points of the fit.
        seed: Seed of the starts.
        starts: Starts of each fit.
        share: The last part of each curve that is judged.
    """
    sizes = sizes_of(points)
    made = []
    for place in range(2, len(sizes)):
        below = [point for point in points if point.millions < sizes[place]]
        judged = last_part([point for point in points if point.millions == sizes[place]], share)
        if len(below) >= 6 and len({point.steps for point in below}) > 1:
            found = alternatives(below, judged, seed, starts)
            rmae = {alternative.name: alternative.tested["rmae"] for alternative in found}
            made.append(Extrapolation(sizes[:place], sizes[place], rmae))
    return tuple(made)


def last_part(points: Sequence[CurvePoint], share: float) -> list[CurvePoint]:
    """The points in the last share of a curve's steps; the last one at least."""
    end = max(point.steps for point in points)
    return [point for point in points if point.steps > (1 - share) * end]


def _without_law(points: Sequence[CurvePoint], held_out: Sequence[CurvePoint]) -> dict[str, float]:
    """How well the largest fitted size's own losses, at the same steps, stand for those held out."""
    largest = sizes_of(points)[-1]
    curve = Columns.of([point for point in points if point.millions == largest])
    order = np.argsort(curve.steps)
    columns = Columns.of(held_out)
    return compare(np.interp(columns.steps, curve.steps[order], curve.loss[order]), columns.loss)
