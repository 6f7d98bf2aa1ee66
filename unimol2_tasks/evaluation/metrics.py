"""Metrics of one target, and bootstrap intervals around them.

A metric that the data leave undefined (a correlation with a constant, an ROC curve of one class) is
absent from the result, so every number that is present can be compared, averaged and stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics as sklearn_metrics

FloatArray = npt.NDArray[np.float64]
Interval = tuple[float, float]
TargetKind = Literal["regression", "binary"]

_LEAST_DEFINED = 0.5
"""Share of resamples in which a metric must be defined; below it an interval would be a guess."""


def regression_metrics(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> dict[str, float]:
    """Measure predictions of a continuous target.

    Args:
        y_true: Measured values, [n]; NaN marks a missing label, whose row is left out.
        y_pred: Predictions, [n], in the same unit.

    Returns:
        `n`, the rows counted; `mae` and `rmse` in the target's unit; `r2`, the coefficient of
        determination, and the correlations `pearson` and `spearman`. Without labelled rows only `n`;
        `r2` needs two different labels, a correlation also two different predictions.

    Raises:
        ValueError: If the shapes differ or are not 1-D, or a value is infinite, or a prediction NaN.
    """
    true, pred = labelled_rows(y_true, y_pred)
    result = {"n": float(len(true))}
    if len(true) == 0:
        return result
    result["mae"] = float(sklearn_metrics.mean_absolute_error(true, pred))
    result["rmse"] = float(sklearn_metrics.root_mean_squared_error(true, pred))
    if np.ptp(true) > 0:
        result["r2"] = float(sklearn_metrics.r2_score(true, pred))
        if np.ptp(pred) > 0:
            result["pearson"] = float(stats.pearsonr(true, pred).statistic)
            result["spearman"] = float(stats.spearmanr(true, pred).statistic)
    return _defined(result)


def classification_metrics(y_true: npt.ArrayLike, probability: npt.ArrayLike) -> dict[str, float]:
    """Measure predicted probabilities of a binary target; the decision threshold is 0.5.

    Args:
        y_true: Labels 0 or 1, [n]; NaN marks a missing label, whose row is left out.
        probability: Predicted probabilities of label 1, [n], in [0, 1].

    Returns:
        `n`, the rows counted; `roc_auc`; `pr_auc`, the average precision; `accuracy`; `f1` of label 1;
        `mcc`, Matthews' correlation; `log_loss` in nats. Without labelled rows only `n`; the two
        areas need both classes, `f1` a positive label or decision, `mcc` two classes in both.

    Raises:
        ValueError: If the shapes differ or are not 1-D, a label is not 0, 1 or NaN, or a probability
            lies outside [0, 1].
    """
    true, prob = labelled_rows(y_true, probability)
    check_binary_labels(true)
    _check_probabilities(prob)
    result = {"n": float(len(true))}
    if len(true) == 0:
        return result
    label, decision = true.astype(np.int64), (prob >= 0.5).astype(np.int64)
    if np.ptp(label) > 0:
        result["roc_auc"] = float(sklearn_metrics.roc_auc_score(label, prob))
        result["pr_auc"] = float(sklearn_metrics.average_precision_score(label, prob))
    result["accuracy"] = float(np.mean(label == decision))
    if label.any() or decision.any():
        result["f1"] = float(sklearn_metrics.f1_score(label, decision))
    if np.ptp(label) > 0 and np.ptp(decision) > 0:
        result["mcc"] = float(sklearn_metrics.matthews_corrcoef(label, decision))
    result["log_loss"] = float(sklearn_metrics.log_loss(label, prob, labels=[0, 1]))
    return _defined(result)


def bootstrap_intervals(
    metrics: Callable[[FloatArray, FloatArray], Mapping[str, float]],
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    seed: int,
    samples: int = 200,
) -> dict[str, Interval]:
    """Compute 95 % percentile intervals of several metrics by resampling labelled rows together.

    Args:
        metrics: A function such as `regression_metrics`.
        y_true: Labels, [n]; NaN marks a missing one.
        y_pred: Predictions, [n].
        seed: Seed of the resampling; two methods with the same rows and seed see the same resamples.
        samples: Number of resamples, at least 1.

    Returns:
        (low, high) per metric, `n` left out. A metric that is undefined in more than half of the
        resamples has no interval; where it is undefined in fewer, those resamples are left out.

    Raises:
        ValueError: If `samples` is below 1, or the arrays are refused as by the metrics.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    true, pred = labelled_rows(y_true, y_pred)
    if len(true) == 0:
        return {}
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(samples):
        rows = rng.integers(0, len(true), size=len(true))
        for name, value in metrics(true[rows], pred[rows]).items():
            if np.isfinite(value):
                drawn.setdefault(name, []).append(value)
    return {
        name: _percentiles(values)
        for name, values in drawn.items()
        if name != "n" and len(values) >= _LEAST_DEFINED * samples
    }


def bootstrap_interval(
    metric: Callable[[FloatArray, FloatArray], float],
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    seed: int,
    samples: int = 200,
) -> Interval:
    """Compute the 95 % percentile interval of one metric; see `bootstrap_intervals`.

    Args:
        metric: A function of labels and predictions; NaN where it is undefined.
        y_true: Labels, [n]; NaN marks a missing one.
        y_pred: Predictions, [n].
        seed: Seed of the resampling.
        samples: Number of resamples, at least 1.

    Raises:
        ValueError: If there are no labelled rows, or most resamples leave the metric undefined.
    """
    intervals = bootstrap_intervals(lambda t, p: {"metric": metric(t, p)}, y_true, y_pred, seed, samples)
    if "metric" not in intervals:
        raise ValueError(
            "no interval: the metric is undefined in most resamples, because the labelled rows are too few "
            "or too alike; report the metric without an interval"
        )
    return intervals["metric"]


def labelled_rows(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Keep the rows that have a label.

    Args:
        y_true: Labels, [n]; NaN marks a missing one.
        y_pred: Predictions, [n].

    Returns:
        Labels and predictions of the labelled rows, both [k] with k ≤ n.

    Raises:
        ValueError: If the shapes differ or are not 1-D, a label is infinite, or a labelled row has a
            prediction that is not finite.
    """
    true = np.asarray(y_true, dtype=np.float64)
    pred = np.asarray(y_pred, dtype=np.float64)
    if true.ndim != 1 or true.shape != pred.shape:
        raise ValueError(
            f"labels and predictions must be 1-D and equally long, got {true.shape} and {pred.shape}"
        )
    keep = ~np.isnan(true)
    for name, bad in (("label", np.isinf(true)), ("prediction", keep & ~np.isfinite(pred))):
        if bad.any():
            raise ValueError(
                f"{int(bad.sum())} {name}(s) not finite, the first in row {int(bad.argmax())} (from 0)"
            )
    return true[keep], pred[keep]


def check_binary_labels(labels: FloatArray) -> None:
    """Refuse labels other than 0 and 1.

    Args:
        labels: Labels without missing ones, [n].

    Raises:
        ValueError: If a label is neither 0 nor 1; the message shows the first such value.
    """
    strange = np.setdiff1d(labels, [0.0, 1.0])
    if len(strange):
        raise ValueError(f"binary labels must be 0 or 1 (NaN where missing), got {strange[0]:g}")


def _check_probabilities(probability: FloatArray) -> None:
    outside = (probability < 0) | (probability > 1)
    if outside.any():
        raise ValueError(
            f"probabilities must lie in [0, 1], got {probability[outside][0]:g}: apply the sigmoid first"
        )


def _percentiles(values: list[float]) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _defined(result: dict[str, float]) -> dict[str, float]:
    # Labels that differ only by rounding pass the checks above and still overflow a correlation.
    return {name: value for name, value in result.items() if np.isfinite(value)}
