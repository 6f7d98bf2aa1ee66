from collections.abc import Callable
from dataclasses import replace

import pytest

from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.scaling.metrics import compare, score
from unimol2_tasks.scaling.points import CurvePoint

Curves = Callable[..., list[CurvePoint]]
LARGE_SIZES = (570.233696, 1129.209696)
STEPS = range(710_000, 820_000, 20_000)


def test_score_of_the_true_law_is_perfect_and_of_a_shifted_one_is_its_shift(curves: Curves) -> None:
    points = curves(LARGE_SIZES, STEPS)
    perfect = score(ScalingLaw.paper(), points)
    assert perfect["rmae"] == pytest.approx(0, abs=1e-12)
    assert perfect["r2"] == pytest.approx(1)
    assert perfect["pearson"] == pytest.approx(1)
    shifted = score(ScalingLaw.paper(), [replace(point, loss=point.loss * 1.25) for point in points])
    assert shifted["rmae"] == pytest.approx(0.2)
    assert shifted["bias"] == pytest.approx(-0.2)
    assert shifted["pearson"] == pytest.approx(1)
    assert shifted["r2"] < perfect["r2"]


def test_undefined_correlation_is_absent(curves: Curves) -> None:
    metrics = score(ScalingLaw.paper(), curves(LARGE_SIZES, STEPS)[:1])
    assert set(metrics) == {"n", "rmae", "bias", "mse"}


def test_errors_that_cancel_are_no_bias() -> None:
    metrics = compare([1.1, 1.8], [1.0, 2.0])
    assert metrics["rmae"] == pytest.approx(0.1)
    assert metrics["bias"] == pytest.approx(0.0)
    assert metrics["mse"] == pytest.approx((0.01 + 0.04) / 2)
