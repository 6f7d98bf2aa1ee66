"""Labels and predictions of one target as arrays: what they may hold, and which rows count."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Interval = tuple[float, float]
TargetKind = Literal["regression", "binary", "multiclass"]

_SUM_TOLERANCE = 1e-3
"""How far the probabilities of one row may be from adding up to 1: float32 networks round."""


def labelled_rows(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Keep the rows that have a label.

    Args:
        y_true: Labels, [n]; NaN marks a missing one.
        y_pred: Predictions, [n], or [n, classes] for the probabilities of several classes.

    Returns:
        Labels [k] and predictions [k] or [k, classes] of the labelled rows, k ≤ n.

    Raises:
        ValueError: If the shapes do not fit, a label is infinite, or a labelled row has a prediction
            that is not finite.
    """
    true = np.asarray(y_true, dtype=np.float64)
    pred = np.asarray(y_pred, dtype=np.float64)
    if true.ndim != 1 or pred.ndim not in (1, 2) or len(true) != len(pred):
        raise ValueError(
            f"labels must be 1-D and predictions equally long, got {true.shape} and {pred.shape}"
        )
    keep = ~np.isnan(true)
    strange = ~np.isfinite(pred) if pred.ndim == 1 else ~np.isfinite(pred).all(axis=1)
    for name, bad in (("label", np.isinf(true)), ("prediction", keep & strange)):
        if bad.any():
            raise ValueError(
                f"{int(bad.sum())} {name}(s) not finite, the first in row {int(bad.argmax())} (from 0)"
            )
    return true[keep], pred[keep]


def regression_rows(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The labelled rows of a continuous target, both [k].

    Raises:
        ValueError: As `labelled_rows`, or the predictions are not 1-D.
    """
    true, pred = labelled_rows(y_true, y_pred)
    if pred.ndim != 1:
        raise ValueError(f"predictions of one value must be 1-D, got {pred.shape}")
    return true, pred


def binary_rows(y_true: npt.ArrayLike, probability: npt.ArrayLike) -> tuple[IntArray, FloatArray]:
    """The labelled rows of a binary target: labels 0 and 1, and probabilities of label 1, both [k].

    Raises:
        ValueError: As `regression_rows`, or a label is not 0 or 1, or a probability outside [0, 1].
    """
    true, prob = regression_rows(y_true, probability)
    check_classes(true, 2)
    _check_probabilities(prob, "sigmoid")
    return true.astype(np.int64), prob


def class_rows(y_true: npt.ArrayLike, probability: npt.ArrayLike) -> tuple[IntArray, FloatArray]:
    """The labelled rows of a target of K classes: labels 0 … K-1, [k], and probabilities, [k, K].

    Raises:
        ValueError: As `labelled_rows`, or the probabilities are not [n, K], or a label is none of the
            classes, or the probabilities of a row do not add up to 1.
    """
    true, prob = labelled_rows(y_true, probability)
    if prob.ndim != 2:
        raise ValueError(f"probabilities of several classes must be [n, classes], got {prob.shape}")
    check_classes(true, prob.shape[1])
    _check_probabilities(prob, "softmax")
    if len(prob) and np.abs(prob.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise ValueError("the probabilities of every row must add up to 1: apply the softmax first")
    return true.astype(np.int64), prob


def check_classes(labels: FloatArray, classes: int) -> None:
    """Refuse labels other than the whole numbers from 0 to `classes` - 1; the message shows the first.

    Raises:
        ValueError: If a label is none of them.
    """
    strange = np.setdiff1d(labels, np.arange(classes))
    if len(strange):
        expected = "0 or 1" if classes == 2 else f"0 to {classes - 1}"
        raise ValueError(f"class labels must be {expected} (NaN where missing), got {strange[0]:g}")


def _check_probabilities(probability: FloatArray, remedy: str) -> None:
    outside = (probability < 0) | (probability > 1)
    if outside.any():
        raise ValueError(
            f"probabilities must lie in [0, 1], got {probability[outside][0]:g}: apply the {remedy} first"
        )
