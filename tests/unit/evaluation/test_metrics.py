import warnings

import numpy as np
import pytest

from unimol2_tasks.evaluation.metrics import (
    bootstrap_interval,
    bootstrap_intervals,
    classification_metrics,
    regression_metrics,
)

NAN = float("nan")


def test_regression_metrics_by_hand() -> None:
    metrics = regression_metrics([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 6.0])
    assert metrics["mae"] == pytest.approx(0.5)
    assert metrics["rmse"] == pytest.approx(1.0)
    assert metrics["r2"] == pytest.approx(1 - 4 / 5)
    assert metrics["spearman"] == pytest.approx(1.0)
    assert metrics["pearson"] == pytest.approx(8 / np.sqrt(5 * 14))
    assert metrics["n"] == 4


def test_missing_labels_do_not_count() -> None:
    with_gap = regression_metrics([1.0, NAN, 3.0, 4.0], [1.5, 99.0, 3.0, 4.5])
    assert with_gap == regression_metrics([1.0, 3.0, 4.0], [1.5, 3.0, 4.5])
    assert with_gap["n"] == 3


def test_a_missing_label_may_have_no_prediction_either() -> None:
    assert regression_metrics([1.0, NAN], [1.0, NAN])["mae"] == 0


def test_undefined_regression_metrics_are_absent() -> None:
    assert set(regression_metrics([2.0, 2.0], [1.0, 3.0])) == {"n", "mae", "rmse"}
    assert set(regression_metrics([1.0, 2.0], [3.0, 3.0])) == {"n", "mae", "rmse", "r2"}
    assert regression_metrics([NAN, NAN], [1.0, 2.0]) == {"n": 0}
    assert regression_metrics([], []) == {"n": 0}


def test_classification_metrics_by_hand() -> None:
    metrics = classification_metrics([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1])
    assert metrics["roc_auc"] == pytest.approx(0.75)
    assert metrics["pr_auc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert metrics["accuracy"] == 0.5
    assert metrics["f1"] == pytest.approx(0.5)
    assert metrics["mcc"] == pytest.approx(0.0)
    assert metrics["log_loss"] == pytest.approx(-2 * (np.log(0.9) + np.log(0.4)) / 4)


def test_one_class_keeps_what_is_defined_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(classification_metrics([1, 1, NAN], [0.9, 0.4, 0.1])) == {
            "n",
            "accuracy",
            "f1",
            "log_loss",
        }
        assert set(classification_metrics([0, 0], [0.2, 0.4])) == {"n", "accuracy", "log_loss"}
        assert "mcc" not in classification_metrics([0, 1], [0.2, 0.4])


@pytest.mark.parametrize(
    ("true", "pred", "message"),
    [
        ([1.0, 2.0], [1.0], r"equally long, got \(2,\) and \(1,\)"),
        ([[1.0], [2.0]], [[1.0], [2.0]], "must be 1-D"),
        ([1.0, 2.0], [1.0, NAN], r"1 prediction\(s\) not finite, the first in row 1"),
        ([1.0, float("inf")], [1.0, 2.0], r"1 label\(s\) not finite, the first in row 1"),
    ],
)
def test_impossible_input_is_refused(true: list[float], pred: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regression_metrics(true, pred)


def test_logits_and_class_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="apply the sigmoid"):
        classification_metrics([0, 1], [-2.0, 3.0])
    with pytest.raises(ValueError, match=r"must be 0 or 1 .* got 2"):
        classification_metrics([0, 2], [0.1, 0.9])


def test_the_interval_of_a_mean_error_matches_its_standard_error() -> None:
    error = np.random.default_rng(1).normal(0.0, 1.0, 400)
    low, high = bootstrap_interval(
        lambda t, p: float(np.mean(p - t)), np.zeros(400), error, seed=0, samples=2000
    )
    assert high - low == pytest.approx(2 * 1.96 * error.std() / 20, rel=0.1)
    assert low < error.mean() < high


def test_intervals_hold_every_metric_and_repeat_with_the_seed() -> None:
    rng = np.random.default_rng(2)
    true = rng.normal(size=60)
    pred = true + rng.normal(0, 0.3, 60)
    intervals = bootstrap_intervals(regression_metrics, true, pred, seed=5)
    assert set(intervals) == {"mae", "rmse", "r2", "pearson", "spearman"}
    for name, value in regression_metrics(true, pred).items():
        if name != "n":
            assert intervals[name][0] < value < intervals[name][1]
    assert intervals == bootstrap_intervals(regression_metrics, true, pred, seed=5)
    assert intervals != bootstrap_intervals(regression_metrics, true, pred, seed=6)


def test_a_mostly_undefined_metric_has_no_interval() -> None:
    assert "roc_auc" not in bootstrap_intervals(classification_metrics, [1, 1, 1], [0.9, 0.8, 0.7], seed=0)
    assert bootstrap_intervals(regression_metrics, [NAN], [1.0], seed=0) == {}
    with pytest.raises(ValueError, match="undefined in most resamples"):
        bootstrap_interval(lambda _t, _p: NAN, [1.0, 2.0], [1.0, 2.0], seed=0)


def test_an_interval_needs_a_resample() -> None:
    with pytest.raises(ValueError, match="samples must be at least 1"):
        bootstrap_intervals(regression_metrics, [1.0], [1.0], seed=0, samples=0)
