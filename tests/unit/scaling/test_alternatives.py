from collections.abc import Callable
from dataclasses import replace

import pytest

from unimol2_tasks.scaling.alternatives import FORMS, NO_LAW, alternatives, extrapolations, last_part
from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.scaling.points import CurvePoint

Curves = Callable[..., list[CurvePoint]]
SIZES = (0.04, 0.08, 0.15, 0.26)
STEPS = range(1000, 4001, 250)
LAW = ScalingLaw(0.08, -0.5, 12.0, -0.4, 0.3, -0.1)


def test_every_form_is_judged_and_only_the_law_knows_that_larger_is_better(curves: Curves) -> None:
    held_out = last_part(curves([0.5], STEPS, LAW), 1 / 8)
    found = {one.name: one for one in alternatives(curves(SIZES, STEPS, LAW), held_out, seed=0, starts=6)}
    assert list(found) == [*FORMS, NO_LAW]
    assert [one.constants for one in found.values()] == [6, 5, 4, 0]
    assert found["a·M^b + c·S^d + e·C^f"].tested["rmae"] < 0.005 < found[NO_LAW].tested["rmae"]
    # The smaller network is worse: who takes its curve for the larger's expects too much loss.
    assert found[NO_LAW].tested["bias"] > 0


def test_what_is_held_out_moves_no_fit(curves: Curves) -> None:
    points = curves(SIZES, STEPS, LAW, noise=0.01)
    held_out = curves([0.5], STEPS, LAW)
    spoilt = [replace(point, loss=3 * point.loss) for point in held_out]
    honest, other = (alternatives(points, test, seed=0, starts=3) for test in (held_out, spoilt))
    assert [one.fitted for one in honest] == [one.fitted for one in other]
    assert [one.tested for one in honest] != [one.tested for one in other]


def test_each_size_is_predicted_from_those_below_it(curves: Curves) -> None:
    found = extrapolations(curves(SIZES, STEPS, LAW), seed=0, starts=2)
    assert [(one.sizes, one.predicted) for one in found] == [
        (SIZES[:2], SIZES[2]),
        (SIZES[:3], SIZES[3]),
    ]
    assert found[-1].rmae["a·M^b + c·S^d"] < 0.02


def test_a_size_whose_smaller_ones_were_measured_once_is_not_predicted(curves: Curves) -> None:
    once = [point for seed in range(3) for point in curves(SIZES[:2], [4000], LAW, noise=0.01, seed=seed)]
    points = [*once, *curves(SIZES[2:], STEPS, LAW)]
    assert [one.predicted for one in extrapolations(points, seed=0, starts=2)] == [SIZES[3]]


def test_a_form_with_more_constants_than_losses_is_left_out(curves: Curves) -> None:
    few = curves(SIZES[:2], [1000, 4000], LAW)
    assert [one.constants for one in alternatives(few, [], seed=0, starts=1)] == [4, 0]


def test_the_last_part_is_that_of_the_steps(curves: Curves) -> None:
    steps = [point.steps for point in last_part(curves([1.0], range(100, 4001, 100)), 1 / 8)]
    assert steps == [3600, 3700, 3800, 3900, 4000]
    assert [point.steps for point in last_part(curves([1.0], [10, 4000]), 0.0001)] == pytest.approx([4000])
