"""Metrics of one target.

A metric that the data leave undefined (a correlation with a constant, an ROC curve of one class) is
absent from the result, so every number that is present can be compared, averaged and stored.

The formulas are plain numpy where scikit-learn has them too: intervals evaluate them thousands of times,
and its checks of the input take twenty times as long as the sums. The tests hold them against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from scipy import stats

from unimol2_tasks.evaluation.calibration import calibration_error, top_class
from unimol2_tasks.evaluation.labels import (
    FloatArray,
    IntArray,
    TargetKind,
    binary_rows,
    class_rows,
    regression_rows,
)
from unimol2_tasks.evaluation.ranking import average_precision, roc_auc

Metrics = Callable[[npt.ArrayLike, npt.ArrayLike], dict[str, float]]


def regression_metrics(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> dict[str, float]:
    """Measure predictions of a continuous target.

    Args:
        y_true: Measured values, [n]; NaN marks a missing label, whose row is left out.
        y_pred: Predictions, [n], in the same unit.

    Returns:
        `n`, the rows counted; `mae` and `rmse` in the target's unit; `rmae`, the mean absolute error over
        the mean absolute label; `r2`, the coefficient of determination, and the correlations `pearson` and
        `spearman`. Without labelled rows only `n`; `rmae` needs a label other than 0, `r2` two different
        labels, a correlation also two different predictions.

        The scaling law's RMAE is the mean of |error| / label (Uni-Mol2, table 3). Labels of molecules cross
        0, where that has no value, so the means are divided here instead (the MAD/mean ratio of Kolassa and
        Schütz, Foresight 6, 2007): on labels that vary little, such as losses, both are the same number. It
        says nothing about a target whose zero is arbitrary, such as a logarithm.

    Raises:
        ValueError: If the shapes differ or are not 1-D, or a value is infinite, or a prediction NaN.
    """
    true, pred = regression_rows(y_true, y_pred)
    result = {"n": float(len(true))}
    if len(true) == 0:
        return result
    error = pred - true
    result["mae"] = float(np.abs(error).mean())
    result["rmse"] = float(np.sqrt(np.mean(error**2)))
    if (scale := float(np.abs(true).mean())) > 0:
        result["rmae"] = result["mae"] / scale
    if np.ptp(true) > 0:
        result["r2"] = float(1 - np.sum(error**2) / np.sum((true - true.mean()) ** 2))
        if np.ptp(pred) > 0:
            result["pearson"] = _correlation(true, pred)
            result["spearman"] = _correlation(stats.rankdata(true), stats.rankdata(pred))
    return _defined(result)


def classification_metrics(y_true: npt.ArrayLike, probability: npt.ArrayLike) -> dict[str, float]:
    """Measure predicted probabilities of a binary target; the decision threshold is 0.5.

    Args:
        y_true: Labels 0 or 1, [n]; NaN marks a missing label, whose row is left out.
        probability: Predicted probabilities of label 1, [n], in [0, 1].

    Returns:
        `n`, the rows counted; `roc_auc`; `pr_auc`, the average precision; `accuracy`; `f1` of label 1;
        `mcc`, Matthews' correlation; `log_loss` in nats; `calibration_error`, see
        `calibration.calibration_error`. Without labelled rows only `n`; the two areas need both classes,
        `f1` a positive label or decision, `mcc` two classes in both.

    Raises:
        ValueError: If the shapes differ or are not 1-D, a label is not 0, 1 or NaN, or a probability
            lies outside [0, 1].
    """
    label, prob = binary_rows(y_true, probability)
    result = {"n": float(len(label))}
    if len(label) == 0:
        return result
    decision = (prob >= 0.5).astype(np.int64)
    if np.ptp(label) > 0:
        result["roc_auc"] = roc_auc(label == 1, prob)
        result["pr_auc"] = average_precision(label == 1, prob)
    result["accuracy"] = float(np.mean(label == decision))
    if label.any() or decision.any():
        result["f1"] = float(2 * np.sum(label * decision) / np.sum(label + decision))
    if np.ptp(label) > 0 and np.ptp(decision) > 0:
        result["mcc"] = _correlation(label.astype(np.float64), decision.astype(np.float64))
    result["log_loss"] = _log_loss(np.where(label == 1, prob, 1 - prob))
    result["calibration_error"] = calibration_error(prob, label.astype(np.float64))
    return _defined(result)


def multiclass_metrics(y_true: npt.ArrayLike, probability: npt.ArrayLike) -> dict[str, float]:
    """Measure predicted probabilities of several classes; the most probable class is the decision.

    Args:
        y_true: Labels 0 … K-1, [n]; NaN marks a missing label, whose row is left out.
        probability: Predicted probabilities, [n, K], each row adding up to 1.

    Returns:
        `n`, the rows counted; `accuracy`; `balanced_accuracy`, the mean recall of the classes that have a
        label; `macro_f1`, the mean F1 of the classes that have a label or a decision; `mcc` (Gorodkin,
        2004); `log_loss` in nats; `roc_auc`, the mean over the classes of the area of one against the rest,
        of the classes that have a label and are not the only one; `calibration_error` of the most probable
        class. Without labelled rows only `n`; `mcc` and `roc_auc` need two classes.

    Raises:
        ValueError: If the shapes do not fit, a label is no class, or a row does not add up to 1.
    """
    label, prob = class_rows(y_true, probability)
    result = {"n": float(len(label))}
    if len(label) == 0:
        return result
    classes = prob.shape[1]
    decision = prob.argmax(axis=1)
    confusion = np.bincount(label * classes + decision, minlength=classes**2).reshape(classes, classes)
    result |= _of_confusion(confusion.astype(np.float64))
    result["log_loss"] = _log_loss(prob[np.arange(len(label)), label])
    if np.ptp(label) > 0:
        result["roc_auc"] = _one_against_the_rest(label, prob)
    result["calibration_error"] = calibration_error(*top_class(label, prob))
    return _defined(result)


METRICS: Mapping[TargetKind, Metrics] = {
    "regression": regression_metrics,
    "binary": classification_metrics,
    "multiclass": multiclass_metrics,
}
"""The metrics that suit each kind of target."""

HEADLINE: Mapping[TargetKind, str] = {"regression": "mae", "binary": "roc_auc", "multiclass": "roc_auc"}
"""The one metric by which models of a kind are compared first."""


def losses(kind: TargetKind, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> FloatArray:
    """How far off each prediction is, so that molecules of any kind of target can be ordered.

    Args:
        kind: What is predicted.
        y_true: Labels, [n]; NaN where missing.
        y_pred: Predictions, [n]; probabilities [n] or [n, K].

    Returns:
        [n] absolute errors; for classes 1 - the probability of the right one; NaN without a label.
    """
    true, pred = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    if kind != "multiclass":
        return np.abs(pred - true)
    label = np.nan_to_num(true).astype(np.int64)
    return np.where(np.isnan(true), np.nan, 1 - pred[np.arange(len(pred)), label])


def _of_confusion(confusion: FloatArray) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro F1 and MCC of counts [true class, decided class]."""
    right, true, decided = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    total = confusion.sum()
    seen = true + decided > 0
    result = {
        "accuracy": float(right.sum() / total),
        "balanced_accuracy": float(np.mean(right[true > 0] / true[true > 0])),
        "macro_f1": float(np.mean(2 * right[seen] / (true + decided)[seen])),
    }
    spread = (total**2 - np.sum(true**2)) * (total**2 - np.sum(decided**2))
    if spread > 0:
        result["mcc"] = float((right.sum() * total - np.sum(true * decided)) / np.sqrt(spread))
    return result


def _one_against_the_rest(label: IntArray, probability: FloatArray) -> float:
    return float(np.mean([roc_auc(label == k, probability[:, k]) for k in np.unique(label)]))


def _log_loss(of_the_right_class: FloatArray) -> float:
    # A probability of 0 for what happened would be an infinite loss; scikit-learn cuts it there too.
    return float(-np.mean(np.log(np.maximum(of_the_right_class, np.finfo(np.float64).eps))))


def _correlation(a: FloatArray | IntArray, b: FloatArray | IntArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.clip(np.sum(a * b) / (np.sqrt(np.sum(a**2)) * np.sqrt(np.sum(b**2))), -1.0, 1.0))


def _defined(result: dict[str, float]) -> dict[str, float]:
    # Labels that differ only by rounding pass the checks above and still overflow a correlation.
    return {name: value for name, value in result.items() if np.isfinite(value)}
