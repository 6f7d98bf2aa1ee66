"""Intervals by resampling molecules."""

import numpy as np
import pytest

from unimol2_tasks.evaluation.bootstrap import bootstrap_intervals
from unimol2_tasks.evaluation.metrics import classification_metrics, multiclass_metrics, regression_metrics

NAN = float("nan")


def test_the_interval_of_a_mean_error_matches_its_standard_error() -> None:
    error = np.random.default_rng(1).normal(0.0, 1.0, 400)
    low, high = bootstrap_intervals(
        lambda t, p: {"bias": float(np.mean(p - t))}, np.zeros(400), error, seed=0, samples=2000
    )["bias"]
    assert high - low == pytest.approx(2 * 1.96 * error.std() / 20, rel=0.1)
    assert low < error.mean() < high


def test_intervals_hold_every_metric_and_repeat_with_the_seed() -> None:
    rng = np.random.default_rng(2)
    true = rng.normal(size=60)
    pred = true + rng.normal(0, 0.3, 60)
    intervals = bootstrap_intervals(regression_metrics, true, pred, seed=5)
    assert set(intervals) == {"mae", "rmse", "rmae", "r2", "pearson", "spearman"}
    for name, value in regression_metrics(true, pred).items():
        if name != "n":
            assert intervals[name][0] < value < intervals[name][1]
    assert intervals == bootstrap_intervals(regression_metrics, true, pred, seed=5)
    assert intervals != bootstrap_intervals(regression_metrics, true, pred, seed=6)


def test_intervals_of_several_classes() -> None:
    rng = np.random.default_rng(3)
    probability = rng.dirichlet([1.0, 1.0, 1.0], size=80)
    label = np.array([rng.choice(3, p=row) for row in probability], np.float64)
    intervals = bootstrap_intervals(multiclass_metrics, label, probability, seed=0)
    for name, value in multiclass_metrics(label, probability).items():
        if name not in {"n", "calibration_error"}:
            assert intervals[name][0] < value < intervals[name][1]
    assert "calibration_error" not in intervals


def test_a_mostly_undefined_metric_has_no_interval() -> None:
    assert "roc_auc" not in bootstrap_intervals(classification_metrics, [1, 1, 1], [0.9, 0.8, 0.7], seed=0)
    assert bootstrap_intervals(regression_metrics, [NAN], [1.0], seed=0) == {}
    assert bootstrap_intervals(lambda _t, _p: {"bias": NAN}, [1.0, 2.0], [1.0, 2.0], seed=0) == {}


def test_a_single_molecule_has_no_interval() -> None:
    assert bootstrap_intervals(regression_metrics, [1.0, NAN], [1.5, 2.0], seed=0) == {}


def test_an_interval_needs_a_resample() -> None:
    with pytest.raises(ValueError, match="samples must be at least 1"):
        bootstrap_intervals(regression_metrics, [1.0], [1.0], seed=0, samples=0)
