"""Calibration: the law that a probability's share comes true."""

import math

import numpy as np
import pytest

from unimol2_tasks.evaluation.binning import equal_mass_bins
from unimol2_tasks.evaluation.calibration import calibration_error, reliability, top_class


def test_an_honest_forecaster_has_the_error_of_chance() -> None:
    rng = np.random.default_rng(0)
    n, p = 2000, 0.3
    probability = np.full(n, p) + rng.uniform(-1e-6, 1e-6, n)
    errors = [calibration_error(probability, (rng.random(n) < p).astype(float)) for _ in range(200)]
    expected = math.sqrt(2 / math.pi) * math.sqrt(10 * p * (1 - p) / n)
    assert np.mean(errors) == pytest.approx(expected, rel=0.05)


def test_an_overconfident_forecaster_is_found_out() -> None:
    rng = np.random.default_rng(1)
    hit = (rng.random(5000) < 0.7).astype(float)
    assert calibration_error(np.full(5000, 0.95), hit) == pytest.approx(0.95 - hit.mean())


def test_the_order_of_the_molecules_does_not_matter_even_with_ties() -> None:
    rng = np.random.default_rng(2)
    probability, hit = rng.random(500).round(1), rng.integers(0, 2, 500).astype(float)
    shuffled = rng.permutation(500)
    assert calibration_error(probability[shuffled], hit[shuffled]) == pytest.approx(
        calibration_error(probability, hit), abs=1e-12
    )


def test_bins_hold_equally_many() -> None:
    skewed = np.random.default_rng(3).exponential(size=1000) ** 3
    assert np.bincount(equal_mass_bins(skewed, 10)).tolist() == [100] * 10
    _, _, count = reliability(skewed / skewed.max(), np.ones(1000))
    assert count.tolist() == [100] * 10


def test_many_equal_values_do_not_swallow_the_others() -> None:
    assert np.bincount(equal_mass_bins([0.0] * 95 + [0.9] * 5, 10)).tolist() == [95, 5]


@pytest.mark.parametrize("values", [[], [5.0], [1.0, 1.0, 1.0]])
def test_few_or_equal_values_need_few_bins(values: list[float]) -> None:
    assert equal_mass_bins(values, 10).tolist() == [0] * len(values)


def test_confidence_is_that_of_the_most_probable_class() -> None:
    confidence, hit = top_class(np.array([0, 2]), np.array([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4]]))
    assert confidence.tolist() == [0.6, 0.5]
    assert hit.tolist() == [1.0, 0.0]
