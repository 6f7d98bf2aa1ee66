"""Conformal intervals hold the share of labels that they promise."""

import math

import numpy as np
import pytest
from numpy.random import Generator
from scipy import stats

from unimol2_tasks.evaluation.uncertainty import (
    LEVELS,
    Coverage,
    absolute_errors,
    binned_errors,
    conformal_halfwidth,
    conformal_interval,
    measured_coverage,
)


@pytest.mark.parametrize(
    ("n", "coverage", "rank"),
    # ceil((n + 1) · coverage), worked out by hand; the last two fall on a whole number exactly.
    [(99, 0.9, 90), (100, 0.9, 91), (10, 0.5, 6), (9, 0.9, 9), (19, 0.95, 19)],
)
def test_the_halfwidth_is_the_error_of_the_finite_sample_rank(n: int, coverage: float, rank: int) -> None:
    errors = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert conformal_halfwidth(errors, coverage) == rank


@pytest.mark.parametrize(("n", "coverage"), [(0, 0.5), (8, 0.9), (18, 0.95)])
def test_too_few_molecules_promise_nothing(n: int, coverage: float) -> None:
    assert conformal_halfwidth(np.ones(n), coverage) == math.inf


def test_missing_labels_are_no_calibration_molecules() -> None:
    errors = np.arange(1.0, 100.0)
    assert conformal_halfwidth([*errors, np.nan, np.nan], 0.9) == conformal_halfwidth(errors, 0.9)


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0, math.nan])
def test_a_coverage_outside_zero_and_one_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match="coverage must be between 0 and 1"):
        conformal_halfwidth([1.0], coverage)


def test_negative_errors_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        conformal_halfwidth([0.5, -0.5], 0.5)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("errors", ["normal", "heavy-tailed", "skewed"])
def test_on_exchangeable_data_the_coverage_is_right(level: float, errors: str) -> None:
    """Averaged over calibrations the coverage is ceil((n + 1) · level) / (n + 1), whatever the errors are."""
    random = np.random.default_rng(7)
    calibration, judged, repeats = 60, 200, 400
    covered = sum(
        measured_coverage(
            np.zeros(judged),
            _draw(errors, random, judged),
            conformal_halfwidth(np.abs(_draw(errors, random, calibration)), level),
            level,
        ).covered
        for _ in range(repeats)
    )
    expected = math.ceil((calibration + 1) * level) / (calibration + 1)
    # The coverage given one calibration is Beta-distributed; four standard errors of its mean over repeats.
    spread = math.sqrt(expected * (1 - expected) / (calibration + 2))
    noise = math.sqrt(expected * (1 - expected) / judged)
    assert covered / (repeats * judged) == pytest.approx(
        expected, abs=4 * math.hypot(spread, noise) / math.sqrt(repeats)
    )


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_of_logarithms_hold_what_they_promise_of_small_and_of_large_values(level: float) -> None:
    random = np.random.default_rng(11)
    calibration, judged, repeats = 60, 200, 400
    covered = np.zeros(2)
    for _ in range(repeats):
        pred = np.exp(random.normal(scale=3.0, size=calibration + judged))
        true = pred * np.exp(random.normal(scale=0.5, size=len(pred)))
        errors = absolute_errors(true[:calibration], pred[:calibration], logarithmic=True)
        halfwidth = conformal_halfwidth(errors, level)
        here = slice(calibration, None)
        low, high = conformal_interval(pred[here], halfwidth, logarithmic=True)
        assert np.all(low > 0)
        inside = (low <= true[here]) & (true[here] <= high)
        found = measured_coverage(true[here], pred[here], halfwidth, level, logarithmic=True)
        assert found.covered == inside.sum()
        small = pred[here] < 1
        covered += inside[small].mean() / repeats, inside[~small].mean() / repeats
    expected = math.ceil((calibration + 1) * level) / (calibration + 1)
    # As above, of half as many judged molecules.
    spread = math.sqrt(expected * (1 - expected) * (1 / (calibration + 2) + 2 / judged))
    assert covered == pytest.approx(expected, abs=4 * spread / math.sqrt(repeats))


def test_a_label_that_has_no_logarithm_is_outside_the_interval() -> None:
    found = measured_coverage([0.0, -1.0, 2.0], [1.0, 1.0, 1.0], math.log(3), 0.9, logarithmic=True)
    assert (found.covered, found.n) == (1, 3)


def test_the_coverage_interval_holds_the_wanted_level_on_exchangeable_data() -> None:
    random = np.random.default_rng(1)
    # So many calibration molecules that nearly all uncertainty is that of the judged ones.
    calibration = np.abs(random.normal(size=50_000))
    inside = 0
    for _ in range(300):
        low, high = measured_coverage(
            np.zeros(150), random.normal(size=150), conformal_halfwidth(calibration, 0.9), 0.9
        ).interval
        inside += low <= 0.9 <= high
    # A 95 % interval holds the truth 285 times of 300, give or take four standard deviations.
    assert inside == pytest.approx(285, abs=4 * math.sqrt(300 * 0.95 * 0.05))


def test_coverage_counts_labels_at_the_edge_and_leaves_out_missing_ones() -> None:
    found = measured_coverage([0.0, 1.0, 2.5, np.nan], [1.0, 1.0, 1.0, 1.0], 1.0, 0.9)
    assert (found.covered, found.n, found.fraction) == (2, 3, pytest.approx(2 / 3))


def test_a_wilson_interval_as_published() -> None:
    """81 of 263: 0.2553 to 0.3662, Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    assert Coverage(0.9, 1.0, 81, 263).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_without_labels_nothing_is_known() -> None:
    found = measured_coverage([np.nan], [1.0], 1.0, 0.9)
    assert math.isnan(found.fraction)
    assert found.interval == (0.0, 1.0)


def test_every_molecule_may_have_an_interval_of_its_own() -> None:
    found = measured_coverage([0.0, 0.0, np.nan], [1.0, 1.0, 1.0], [0.5, 1.5, 9.0], 0.9)
    assert (found.covered, found.n, found.halfwidth) == (1, 2, 1.0)


def test_wider_levels_need_wider_intervals() -> None:
    errors = np.random.default_rng(2).exponential(size=200)
    assert np.all(np.diff([conformal_halfwidth(errors, level) for level in LEVELS]) >= 0)


def test_binned_errors_follow_the_score() -> None:
    random = np.random.default_rng(3)
    spread = random.uniform(0.1, 2.0, size=4000)
    error = np.abs(random.normal(scale=spread))
    score, mean, low, high = binned_errors(spread, error, 8)
    # The mean of a half-normal distribution is sqrt(2 / pi) of its scale.
    expected = math.sqrt(2 / math.pi) * score
    assert len(score) == 8
    assert np.all(low < mean)
    assert np.mean((low <= expected) & (expected <= high)) >= 0.75


def test_equal_scores_share_a_bin_and_missing_labels_are_left_out() -> None:
    score, mean, *_ = binned_errors([1.0, 1.0, 1.0, 2.0], [1.0, 3.0, np.nan, 5.0], 10)
    assert score.tolist() == [1.0, 2.0]
    assert mean.tolist() == [2.0, 5.0]


def _draw(distribution: str, random: Generator, n: int) -> np.ndarray:
    if distribution == "skewed":
        return random.exponential(size=n)
    if distribution == "heavy-tailed":
        return stats.t.rvs(2, size=n, random_state=random)
    return random.normal(size=n)
