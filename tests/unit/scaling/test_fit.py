from dataclasses import replace

import numpy as np
import pytest

from unimol2_tasks.scaling.fit import CurvePoint, fit_scaling_law, score
from unimol2_tasks.scaling.law import ScalingLaw

SMALL_SIZES = (43.788112, 84.11608, 164.772016, 310.08288)
LARGE_SIZES = (570.233696, 1129.209696)
STEPS = range(210_000, 820_000, 20_000)


def curves(sizes: tuple[float, ...], noise: float = 0.0) -> list[CurvePoint]:
    """Validation losses that follow the paper's law, with relative noise."""
    rng = np.random.default_rng(0)
    law = ScalingLaw.paper()
    return [
        CurvePoint(f"{m:.0f}M", m, s, float(law.predict(m, s)) * float(np.exp(noise * rng.normal())))
        for m in sizes
        for s in STEPS
    ]


def test_small_models_predict_the_large_ones() -> None:
    fitted = fit_scaling_law(curves(SMALL_SIZES), seed=0)
    for size in LARGE_SIZES:
        expected = ScalingLaw.paper().predict(size, 810_000)
        assert fitted.law.predict(size, 810_000) == pytest.approx(expected, rel=1e-3)
    assert fitted.sizes == SMALL_SIZES
    assert fitted.agreeing_starts > 1


def test_noise_and_a_diverged_evaluation_move_the_prediction_by_less_than_a_percent() -> None:
    points = curves(SMALL_SIZES, noise=0.003)
    points[5] = replace(points[5], loss=points[5].loss * 10)
    fitted = fit_scaling_law(points, seed=0)
    expected = ScalingLaw.paper().predict(LARGE_SIZES[1], 810_000)
    assert fitted.law.predict(LARGE_SIZES[1], 810_000) == pytest.approx(expected, rel=0.01)


def test_the_same_seed_gives_the_same_law() -> None:
    points = curves(SMALL_SIZES, noise=0.003)
    assert fit_scaling_law(points, seed=3, starts=4) == fit_scaling_law(points, seed=3, starts=4)


def test_fitted_exponents_are_negative_and_weights_positive() -> None:
    law = fit_scaling_law(curves(SMALL_SIZES[:2], noise=0.01), seed=1, starts=4).law
    assert min(law.a, law.c, law.e) > 0
    assert max(law.b, law.d, law.f) < 0


def test_score_of_the_true_law_is_perfect_and_of_a_shifted_one_is_its_shift() -> None:
    points = curves(LARGE_SIZES)
    perfect = score(ScalingLaw.paper(), points)
    assert perfect["rmae"] == pytest.approx(0, abs=1e-12)
    assert perfect["r2"] == pytest.approx(1)
    assert perfect["pearson"] == pytest.approx(1)
    shifted = score(ScalingLaw.paper(), [replace(point, loss=point.loss * 1.25) for point in points])
    assert shifted["rmae"] == pytest.approx(0.2)
    assert shifted["pearson"] == pytest.approx(1)
    assert shifted["r2"] < perfect["r2"]


def test_undefined_correlation_is_absent() -> None:
    metrics = score(ScalingLaw.paper(), curves(LARGE_SIZES)[:1])
    assert set(metrics) == {"n", "rmae", "mse"}


def test_one_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 2 model sizes, got only 43\.7881M"):
        fit_scaling_law(curves(SMALL_SIZES[:1]), seed=0)


def test_one_step_count_is_refused() -> None:
    points = [replace(point, steps=1000) for point in curves(SMALL_SIZES)]
    with pytest.raises(ValueError, match="only step 1000"):
        fit_scaling_law(points, seed=0)


def test_too_few_points_are_refused() -> None:
    points = curves(SMALL_SIZES)[:: len(STEPS) - 1][:4]
    with pytest.raises(ValueError, match="6 constants, got only 4 points"):
        fit_scaling_law(points, seed=0)


@pytest.mark.parametrize("loss", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_loss_names_its_run(loss: float) -> None:
    points = curves(SMALL_SIZES)
    points[3] = replace(points[3], run="nightly-84M", loss=loss)
    with pytest.raises(ValueError, match="run 'nightly-84M': loss must be positive"):
        fit_scaling_law(points, seed=0)
