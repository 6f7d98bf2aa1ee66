"""Baselines that a pretrained model has to beat: the mean, and classic learners on 2D features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV

from unimol2_tasks.evaluation.labels import FloatArray, TargetKind, check_classes

Features = npt.NDArray[np.float32]

_RIDGE_PENALTIES = np.logspace(-1, 4, 16)
"""From nearly unregularised to nearly the mean, for fingerprints of some thousand bits."""
_TREES = 200
_FOREST_SHARE = 0.1
"""Share of the bits tried per split in regression. On Lipophilicity it is better than the square root
(MAE 0.617 against 0.643) and as good as a third, in a third of its time."""
_BOOSTING: Mapping[str, Any] = {"learning_rate": 0.05, "max_iter": 300, "max_features": 0.3}
"""On Lipophilicity, new scaffolds, as good as 400 rounds over all descriptors (MAE 0.574) in two thirds of
the time; with the library's own settings 0.589. The forest on fingerprints has 0.735 there, boosting on
fingerprints 0.675 in ten times the time, and on both together 0.549 in fifteen times."""


@dataclass(frozen=True, slots=True)
class BaselineTask:
    """What a baseline has to learn."""

    kind: TargetKind
    classes: int = 1
    """K of a multi-class target, whose labels are 0 … K-1; else 1."""
    seed: int = 0
    """Seed of the forest and of the boosting."""
    n_jobs: int = 1
    """Processor cores for the forest; the predictions do not depend on it."""


def mean_baseline(y_train: npt.ArrayLike, n: int, task: BaselineTask) -> FloatArray:
    """Predict the same for every row: the mean training label, or how frequent each class is.

    Args:
        y_train: Training labels, 1-D; NaN marks a missing one.
        n: Number of predictions.
        task: What is predicted.

    Returns:
        The mean, [n], which of binary labels is the base rate; of several classes their shares, [n, K].

    Raises:
        ValueError: If no training row has a label.
    """
    labels = np.asarray(y_train, dtype=np.float64)
    labels = labels[~np.isnan(labels)]
    if len(labels) == 0:
        raise ValueError("the mean baseline needs at least one labelled training row, got none")
    if task.kind == "multiclass":
        share = np.bincount(labels.astype(np.int64), minlength=task.classes) / len(labels)
        return np.tile(share, (n, 1))
    return np.full(n, labels.mean())


def fingerprint_baselines(
    x_train: npt.ArrayLike, y_train: npt.ArrayLike, x_test: npt.ArrayLike, task: BaselineTask
) -> dict[str, FloatArray]:
    """Fit a linear model and a random forest on fingerprints and predict the test rows.

    Args:
        x_train: Training fingerprints, [n, bits]; bits or counts.
        y_train: Training labels of one target, [n]; rows with NaN are left out.
        x_test: Test fingerprints, [m, bits].
        task: Of a value, ridge (penalty by leave-one-out) and a forest are fitted; of classes, logistic
            regression and a forest.

    Returns:
        Predictions by method name: values in the target's unit, [m], or probabilities of label 1, [m], or of
        every class, [m, K]. Empty where nothing can be fitted: fewer than two labelled rows, or one class.

    Raises:
        ValueError: If the shapes do not fit together, or a label is no class.
    """
    learners: dict[str, Any]
    if task.kind == "regression":
        forest = RandomForestRegressor(
            n_estimators=_TREES, max_features=_FOREST_SHARE, random_state=task.seed, n_jobs=task.n_jobs
        )
        learners = {"ridge": RidgeCV(alphas=_RIDGE_PENALTIES), "random forest": forest}
    else:
        forest = RandomForestClassifier(
            n_estimators=_TREES, max_features="sqrt", random_state=task.seed, n_jobs=task.n_jobs
        )
        linear = LogisticRegression(C=0.1, max_iter=2000)
        learners = {"logistic regression": linear, "random forest": forest}
    return _predictions("fingerprint", learners, x_train, y_train, x_test, task)


def descriptor_baselines(
    x_train: npt.ArrayLike, y_train: npt.ArrayLike, x_test: npt.ArrayLike, task: BaselineTask
) -> dict[str, FloatArray]:
    """Fit gradient boosting on descriptors and predict the test rows.

    Args:
        x_train: Training descriptors, [n, d]; NaN where one has no value.
        y_train: As for `fingerprint_baselines`.
        x_test: Test descriptors, [m, d].
        task: What is predicted.

    Returns:
        As `fingerprint_baselines`.

    Raises:
        ValueError: If the shapes do not fit together, or a label is no class.
    """
    learner = HistGradientBoostingRegressor if task.kind == "regression" else HistGradientBoostingClassifier
    learners = {"gradient boosting": learner(**_BOOSTING, early_stopping=False, random_state=task.seed)}
    return _predictions("descriptors", learners, x_train, y_train, x_test, task)


def _predictions(
    features: str,
    learners: Mapping[str, Any],
    x_train: npt.ArrayLike,
    y_train: npt.ArrayLike,
    x_test: npt.ArrayLike,
    task: BaselineTask,
) -> dict[str, FloatArray]:
    x, test, y = _arrays(x_train, y_train, x_test)
    labelled = ~np.isnan(y)
    x, y = x[labelled], y[labelled]
    if task.kind != "regression":
        check_classes(y, max(2, task.classes))
    if len(y) < 2 or (task.kind != "regression" and np.ptp(y) == 0):
        return {}
    return {f"{features} + {name}": _fit_predict(model, x, y, test, task) for name, model in learners.items()}


def _fit_predict(model: Any, x: Features, y: FloatArray, test: Features, task: BaselineTask) -> FloatArray:
    model.fit(x, y)
    if "n_jobs" in model.get_params() and not isinstance(model, LogisticRegression):
        # Threads add up the trees in the order they finish; one thread keeps the last digit fixed.
        model.set_params(n_jobs=1)
    if task.kind == "regression":
        return np.asarray(model.predict(test), dtype=np.float64)
    # A class without a training label has no column, and no probability.
    probability = np.zeros((len(test), max(2, task.classes)))
    probability[:, model.classes_.astype(np.int64)] = model.predict_proba(test)
    return probability if task.kind == "multiclass" else probability[:, 1]


def _arrays(
    x_train: npt.ArrayLike, y_train: npt.ArrayLike, x_test: npt.ArrayLike
) -> tuple[Features, Features, FloatArray]:
    # Forests work in float32 anyway, and it halves the memory of wide fingerprints.
    x = np.asarray(x_train, dtype=np.float32)
    test = np.asarray(x_test, dtype=np.float32)
    y = np.asarray(y_train, dtype=np.float64)
    if x.ndim != 2 or test.ndim != 2 or x.shape[1] != test.shape[1]:
        raise ValueError(f"features must be [rows, n] with equal n, got {x.shape} and {test.shape}")
    if y.shape != (len(x),):
        raise ValueError(f"y_train must be [{len(x)}] like the training features, got {y.shape}")
    return x, test, y
