"""Metrics against values by hand and against scikit-learn."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator
from scipy import stats
from sklearn import metrics as sklearn_metrics

from unimol2_tasks.evaluation.labels import TargetKind
from unimol2_tasks.evaluation.metrics import (
    classification_metrics,
    losses,
    multiclass_metrics,
    regression_metrics,
)

NAN = float("nan")


def test_regression_metrics_by_hand() -> None:
    metrics = regression_metrics([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 6.0])
    assert metrics["mae"] == pytest.approx(0.5)
    assert metrics["rmse"] == pytest.approx(1.0)
    assert metrics["rmae"] == pytest.approx(0.5 / 2.5)
    assert metrics["r2"] == pytest.approx(1 - 4 / 5)
    assert metrics["spearman"] == pytest.approx(1.0)
    assert metrics["pearson"] == pytest.approx(8 / np.sqrt(5 * 14))
    assert metrics["n"] == 4


def test_rmae_is_the_scaling_laws_on_values_that_vary_little() -> None:
    loss = np.linspace(0.0875, 0.0885, 50)
    predicted = loss * (1 + np.linspace(-0.02, 0.03, 50))
    relative = np.mean(np.abs(predicted - loss) / loss)
    assert regression_metrics(loss, predicted)["rmae"] == pytest.approx(relative, rel=0.01)


def test_missing_labels_do_not_count() -> None:
    with_gap = regression_metrics([1.0, NAN, 3.0, 4.0], [1.5, 99.0, 3.0, 4.5])
    assert with_gap == regression_metrics([1.0, 3.0, 4.0], [1.5, 3.0, 4.5])
    assert with_gap["n"] == 3


def test_a_missing_label_may_have_no_prediction_either() -> None:
    assert regression_metrics([1.0, NAN], [1.0, NAN])["mae"] == 0


def test_undefined_regression_metrics_are_absent() -> None:
    assert set(regression_metrics([2.0, 2.0], [1.0, 3.0])) == {"n", "mae", "rmse", "rmae"}
    assert set(regression_metrics([1.0, 2.0], [3.0, 3.0])) == {"n", "mae", "rmse", "rmae", "r2"}
    assert set(regression_metrics([0.0, 0.0], [3.0, 3.0])) == {"n", "mae", "rmse"}
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
    # Every molecule is a bin of its own here.
    assert metrics["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)


def test_one_class_keeps_what_is_defined_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        always = {"n", "accuracy", "log_loss", "calibration_error"}
        assert set(classification_metrics([1, 1, NAN], [0.9, 0.4, 0.1])) == {*always, "f1"}
        assert set(classification_metrics([0, 0], [0.2, 0.4])) == always
        assert "mcc" not in classification_metrics([0, 1], [0.2, 0.4])


@pytest.mark.parametrize("seed", range(5))
def test_a_value_is_measured_as_scikit_learn_measures_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.normal(2.0, 1.0, 70).round(1)  # ties
    pred = (true + rng.normal(0, 0.5, 70)).round(1)
    assert regression_metrics(true, pred) == pytest.approx(
        {
            "n": 70,
            "mae": sklearn_metrics.mean_absolute_error(true, pred),
            "rmse": sklearn_metrics.root_mean_squared_error(true, pred),
            "rmae": sklearn_metrics.mean_absolute_error(true, pred) / np.abs(true).mean(),
            "r2": sklearn_metrics.r2_score(true, pred),
            "pearson": stats.pearsonr(true, pred).statistic,
            "spearman": stats.spearmanr(true, pred).statistic,
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_two_classes_are_measured_as_scikit_learn_measures_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.random(90).round(1)  # ties
    label = (rng.random(90) < probability).astype(int)
    metrics = classification_metrics(label, probability)
    decision = probability >= 0.5
    del metrics["calibration_error"]
    assert metrics == pytest.approx(
        {
            "n": 90,
            "roc_auc": sklearn_metrics.roc_auc_score(label, probability),
            "pr_auc": sklearn_metrics.average_precision_score(label, probability),
            "accuracy": sklearn_metrics.accuracy_score(label, decision),
            "f1": sklearn_metrics.f1_score(label, decision),
            "mcc": sklearn_metrics.matthews_corrcoef(label, decision),
            "log_loss": sklearn_metrics.log_loss(label, probability),
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_several_classes_are_measured_as_scikit_learn_measures_them(seed: int) -> None:
    label, probability = several_classes(np.random.default_rng(seed), 120)
    metrics = multiclass_metrics(label, probability)
    decision = probability.argmax(axis=1)
    del metrics["calibration_error"]
    assert metrics == pytest.approx(
        {
            "n": 120,
            "accuracy": sklearn_metrics.accuracy_score(label, decision),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(label, decision),
            "macro_f1": sklearn_metrics.f1_score(label, decision, average="macro"),
            "mcc": sklearn_metrics.matthews_corrcoef(label, decision),
            "log_loss": sklearn_metrics.log_loss(label, probability),
            "roc_auc": sklearn_metrics.roc_auc_score(label, probability, multi_class="ovr"),
        }
    )


def test_a_class_without_a_label_is_no_part_of_the_means() -> None:
    probability = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]]
    metrics = multiclass_metrics([0, 1, 0], probability)
    assert metrics["balanced_accuracy"] == metrics["macro_f1"] == metrics["roc_auc"] == 1.0
    assert set(multiclass_metrics([2, 2, NAN], probability)) == {
        "n", "accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("true", "pred", "message"),
    [
        ([1.0, 2.0], [1.0], r"equally long, got \(2,\) and \(1,\)"),
        ([[1.0], [2.0]], [[1.0], [2.0]], "must be 1-D"),
        ([1.0, 2.0], [[1.0], [2.0]], "must be 1-D"),
        ([1.0, 2.0], [1.0, NAN], r"1 prediction\(s\) not finite, the first in row 1"),
        ([1.0, float("inf")], [1.0, 2.0], r"1 label\(s\) not finite, the first in row 1"),
    ],
)
def test_impossible_input_is_refused(true: list[float], pred: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regression_metrics(true, pred)


@pytest.mark.parametrize(
    ("true", "pred", "message"),
    [
        ([0, 1], [0.5, 0.5], r"must be \[n, classes\]"),
        ([0, 3], [[0.2, 0.8, 0.0], [0.2, 0.8, 0.0]], "0 to 2 .* got 3"),
        ([0, 1], [[2.0, -1.0], [0.5, 0.5]], "apply the softmax"),
        ([0, 1], [[0.5, 0.9], [0.5, 0.5]], "add up to 1"),
    ],
)
def test_impossible_probabilities_of_classes_are_refused(true: Any, pred: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multiclass_metrics(true, pred)


def test_logits_and_class_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="apply the sigmoid"):
        classification_metrics([0, 1], [-2.0, 3.0])
    with pytest.raises(ValueError, match=r"must be 0 or 1 .* got 2"):
        classification_metrics([0, 2], [0.1, 0.9])


@pytest.mark.parametrize(
    ("kind", "pred", "expected"),
    [
        ("regression", [3.0, 0.0, 1.0], [2.0, 1.0, NAN]),
        ("binary", [0.3, 0.9, 0.5], [0.7, 0.1, NAN]),
        ("multiclass", [[0.1, 0.9], [0.4, 0.6], [0.5, 0.5]], [0.1, 0.4, NAN]),
    ],
)
def test_molecules_of_every_kind_are_ordered_by_how_far_off_they_are(
    kind: TargetKind, pred: list[Any], expected: list[float]
) -> None:
    np.testing.assert_allclose(losses(kind, [1.0, 1.0, NAN], pred), expected)


def several_classes(rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    probability = rng.dirichlet([0.7, 0.7, 0.7], size=n)
    return np.array([rng.choice(3, p=row) for row in probability]), probability
