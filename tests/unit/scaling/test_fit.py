from collections.abc import Callable
from dataclasses import replace

import pytest

from unimol2_tasks.scaling.fit import Problem, fit_scaling_law
from unimol2_tasks.scaling.law import ScalingLaw, ThirdTerm
from unimol2_tasks.scaling.points import CurvePoint

Curves = Callable[..., list[CurvePoint]]
SMALL_SIZES = (43.788112, 84.11608, 164.772016, 310.08288)
LARGE_SIZES = (570.233696, 1129.209696)
STEPS = range(210_000, 820_000, 20_000)


def test_small_models_predict_the_large_ones(curves: Curves) -> None:
    fitted = fit_scaling_law(curves(SMALL_SIZES, STEPS), seed=0, starts=6)
    for size in LARGE_SIZES:
        expected = ScalingLaw.paper().predict(size, 810_000)
        assert fitted.law.predict(size, 810_000) == pytest.approx(expected, rel=1e-3)
    assert fitted.sizes == SMALL_SIZES
    assert fitted.agreeing_starts > 1


def test_noise_and_a_diverged_evaluation_move_the_prediction_by_less_than_a_percent(curves: Curves) -> None:
    points = curves(SMALL_SIZES, STEPS, noise=0.003)
    points[5] = replace(points[5], loss=points[5].loss * 10)
    fitted = fit_scaling_law(points, seed=0)
    expected = ScalingLaw.paper().predict(LARGE_SIZES[1], 810_000)
    assert fitted.law.predict(LARGE_SIZES[1], 810_000) == pytest.approx(expected, rel=0.01)


def test_the_same_seed_gives_the_same_law(curves: Curves) -> None:
    points = curves(SMALL_SIZES, STEPS, noise=0.003)
    assert fit_scaling_law(points, seed=3, starts=4) == fit_scaling_law(points, seed=3, starts=4)


def test_fitted_exponents_are_negative_and_weights_positive(curves: Curves) -> None:
    law = fit_scaling_law(curves(SMALL_SIZES[:2], STEPS, noise=0.01), seed=1, starts=4).law
    assert min(law.a, law.c, law.e) > 0
    assert max(law.b, law.d, law.f) < 0


@pytest.mark.parametrize(
    ("third", "law"),
    [
        ("compute", ScalingLaw(0.1, -0.5, 8.0, -0.4, 0.6, -0.1)),
        ("constant", ScalingLaw(0.1, -0.5, 8.0, -0.4, 0.3, 0.0)),
        ("none", ScalingLaw(0.1, -0.5, 8.0, -0.4, 0.0, 0.0)),
    ],
)
def test_every_form_finds_the_law_that_made_the_losses(
    curves: Curves, third: ThirdTerm, law: ScalingLaw
) -> None:
    steps = [100 * 1.3**k for k in range(14)]
    fitted = fit_scaling_law(curves((0.03, 0.1, 0.3, 1.0), steps, law), seed=0, third=third).law
    assert float(fitted.predict(3.0, 8000)) == pytest.approx(float(law.predict(3.0, 8000)), rel=1e-3)
    assert fitted.d == pytest.approx(law.d, abs=0.01)
    if third == "none":
        assert fitted.e == 0


@pytest.mark.parametrize("third", ["compute", "constant", "none"])
def test_a_fit_goes_on_from_a_law(curves: Curves, third: ThirdTerm) -> None:
    points = curves(SMALL_SIZES, STEPS, noise=0.003)
    law = fit_scaling_law(points, seed=0, third=third, starts=4).law
    problem = Problem.of(points, third)
    assert problem.law(problem.unknowns(law)).predict(570, 8e5) == pytest.approx(law.predict(570, 8e5))


def test_one_size_is_refused(curves: Curves) -> None:
    with pytest.raises(ValueError, match=r"at least 2 model sizes, got only 43\.7881M"):
        fit_scaling_law(curves(SMALL_SIZES[:1], STEPS), seed=0)


def test_one_step_count_is_refused(curves: Curves) -> None:
    points = [replace(point, steps=1000) for point in curves(SMALL_SIZES, STEPS)]
    with pytest.raises(ValueError, match="only step 1000"):
        fit_scaling_law(points, seed=0)


def test_too_few_points_are_refused(curves: Curves) -> None:
    points = curves(SMALL_SIZES, STEPS)[:: len(STEPS) - 1][:4]
    with pytest.raises(ValueError, match="6 constants, got only 4 points"):
        fit_scaling_law(points, seed=0)


@pytest.mark.parametrize("loss", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_loss_names_its_run(curves: Curves, loss: float) -> None:
    points = curves(SMALL_SIZES, STEPS)
    points[3] = replace(points[3], run="nightly-84M", loss=loss)
    with pytest.raises(ValueError, match="run 'nightly-84M': loss must be positive"):
        fit_scaling_law(points, seed=0)
