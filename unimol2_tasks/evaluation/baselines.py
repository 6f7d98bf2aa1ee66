"""Baselines that a pretrained model has to beat: the mean, and classic learners on fingerprints."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV

from unimol2_tasks.evaluation.metrics import FloatArray, TargetKind, check_binary_labels

Fingerprints = npt.NDArray[np.float32]

_RIDGE_PENALTIES = np.logspace(-1, 4, 16)
"""From nearly unregularised to nearly the mean, for fingerprints of some thousand bits."""
_TREES = 200
_FOREST_SHARE = 0.1
"""Share of the bits tried per split in regression. On Lipophilicity it is better than the square root
(MAE 0.617 against 0.643) and as good as a third, in a third of its time."""


def mean_baseline(y_train: npt.ArrayLike, n: int) -> FloatArray:
    """Predict the mean training label for every row; of binary labels that is the base rate.

    Args:
        y_train: Training labels, 1-D; NaN marks a missing one.
        n: Number of predictions.

    Returns:
        The mean, [n].

    Raises:
        ValueError: If no training row has a label.
    """
    labels = np.asarray(y_train, dtype=np.float64)
    labels = labels[~np.isnan(labels)]
    if len(labels) == 0:
        raise ValueError("the mean baseline needs at least one labelled training row, got none")
    return np.full(n, labels.mean())


def fingerprint_baselines(
    x_train: npt.ArrayLike,
    y_train: npt.ArrayLike,
    x_test: npt.ArrayLike,
    kind: TargetKind,
    seed: int,
    n_jobs: int = 1,
) -> dict[str, FloatArray]:
    """Fit a linear model and a random forest on fingerprints and predict the test rows.

    Args:
        x_train: Training fingerprints, [n, bits]; bits or counts.
        y_train: Training labels of one target, [n]; rows with NaN are left out.
        x_test: Test fingerprints, [m, bits].
        kind: `regression` fits ridge (penalty by leave-one-out) and a forest; `binary` fits logistic
            regression and a forest, labels being 0 and 1.
        seed: Seed of the forest.
        n_jobs: Processor cores for the forest; the predictions do not depend on it.

    Returns:
        Predictions, [m], by method name: values in the target's unit, or probabilities of label 1.
        Empty where nothing can be fitted: fewer than two labelled rows, or a single class.

    Raises:
        ValueError: If the shapes do not fit together, or `kind` is unknown.
    """
    x, test, y = _arrays(x_train, y_train, x_test)
    labelled = ~np.isnan(y)
    x, y = x[labelled], y[labelled]
    if kind == "regression":
        learners = _regressors(seed, n_jobs)
    elif kind == "binary":
        learners = _classifiers(seed, n_jobs)
        check_binary_labels(y)
    else:
        raise ValueError(f"kind must be 'regression' or 'binary', got {kind!r}")
    if len(y) < 2 or (kind == "binary" and np.ptp(y) == 0):
        return {}
    return {
        f"fingerprint + {name}": _fit_predict(model, x, y, test, kind) for name, model in learners.items()
    }


def _regressors(seed: int, n_jobs: int) -> dict[str, Any]:
    forest = RandomForestRegressor(
        n_estimators=_TREES, max_features=_FOREST_SHARE, random_state=seed, n_jobs=n_jobs
    )
    return {"ridge": RidgeCV(alphas=_RIDGE_PENALTIES), "random forest": forest}


def _classifiers(seed: int, n_jobs: int) -> dict[str, Any]:
    forest = RandomForestClassifier(
        n_estimators=_TREES, max_features="sqrt", random_state=seed, n_jobs=n_jobs
    )
    return {"logistic regression": LogisticRegression(C=0.1, max_iter=2000), "random forest": forest}


def _fit_predict(
    model: Any, x: Fingerprints, y: FloatArray, test: Fingerprints, kind: TargetKind
) -> FloatArray:
    model.fit(x, y)
    if "n_jobs" in model.get_params() and not isinstance(model, LogisticRegression):
        # Threads add up the trees in the order they finish; one thread keeps the last digit fixed.
        model.set_params(n_jobs=1)
    predicted = model.predict_proba(test)[:, 1] if kind == "binary" else model.predict(test)
    return np.asarray(predicted, dtype=np.float64)


def _arrays(
    x_train: npt.ArrayLike, y_train: npt.ArrayLike, x_test: npt.ArrayLike
) -> tuple[Fingerprints, Fingerprints, FloatArray]:
    # Forests work in float32 anyway, and it halves the memory of wide fingerprints.
    x = np.asarray(x_train, dtype=np.float32)
    test = np.asarray(x_test, dtype=np.float32)
    y = np.asarray(y_train, dtype=np.float64)
    if x.ndim != 2 or test.ndim != 2 or x.shape[1] != test.shape[1]:
        raise ValueError(f"fingerprints must be [rows, bits] with equal bits, got {x.shape} and {test.shape}")
    if y.shape != (len(x),):
        raise ValueError(f"y_train must be [{len(x)}] like the training fingerprints, got {y.shape}")
    return x, test, y
