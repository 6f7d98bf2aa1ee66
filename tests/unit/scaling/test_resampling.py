from collections.abc import Callable

import numpy as np
import pytest

from unimol2_tasks.scaling.determination import judge_terms
from unimol2_tasks.scaling.fit import fit_scaling_law
from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.scaling.points import CurvePoint
from unimol2_tasks.scaling.resampling import intervals_of, prediction_interval, resample

Curves = Callable[..., list[CurvePoint]]
SIZES = (0.04, 0.08, 0.15, 0.26, 0.5)
STEPS = range(1000, 4001, 200)
LAW = ScalingLaw(0.08, -0.5, 12.0, -0.4, 0.3, -0.1)


def test_intervals_hold_what_made_the_losses_and_grow_with_the_noise(curves: Curves) -> None:
    widths = []
    for noise in (0.002, 0.01):
        points = curves(SIZES, STEPS, LAW, noise=noise)
        replicas = resample(fit_scaling_law(points, seed=0, starts=3), points, 16, seed=0)
        low, high = prediction_interval(replicas, 1.3, [3500, 4000])
        truth = LAW.predict(1.3, [3500, 4000])
        assert np.all((low < truth) & (truth < high))
        widths.append(float(np.mean(high - low)))
    assert widths[0] < widths[1]


def test_the_same_seed_gives_the_same_replicas(curves: Curves) -> None:
    points = curves(SIZES[:3], STEPS, LAW, noise=0.01)
    fitted = fit_scaling_law(points, seed=0, starts=2)
    first, again, other = (resample(fitted, points, 3, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_without_noise_the_constants_are_certain(curves: Curves) -> None:
    points = curves(SIZES, STEPS, ScalingLaw(0.08, -0.5, 12.0, -0.4, 0.0, 0.0))
    fitted = fit_scaling_law(points, seed=0, third="none")
    for low, high in list(intervals_of(resample(fitted, points, 10, seed=0)).values())[:4]:
        assert high - low == pytest.approx(0, abs=1e-3)


def test_a_term_that_the_losses_do_not_show_is_said_to_be_undetermined(curves: Curves) -> None:
    points = curves(SIZES, STEPS, ScalingLaw(0.08, -0.5, 12.0, -0.4, 0.0, 0.0), noise=0.005)
    fitted = fit_scaling_law(points, seed=0, starts=6)
    terms = judge_terms(fitted, resample(fitted, points, 16, seed=0), SIZES[-1], 4000)
    assert [term.name for term in terms] == ["size", "steps", "compute"]
    assert "not determined" in terms[2].doubt
    assert sum(term.share for term in terms) == pytest.approx(1)


def test_terms_of_a_clean_simple_law_are_determined(curves: Curves) -> None:
    points = curves(SIZES, STEPS, ScalingLaw(0.08, -0.5, 12.0, -0.4, 0.0, 0.0), noise=0.002)
    fitted = fit_scaling_law(points, seed=0, third="none")
    terms = judge_terms(fitted, resample(fitted, points, 16, seed=0), SIZES[-1], 4000)
    assert [(term.name, term.doubt) for term in terms] == [("size", ""), ("steps", "")]
