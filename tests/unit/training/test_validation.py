"""The figures that a log shows of each label."""

import numpy as np
import pytest

from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.training.losses import PropertyLoss
from unimol2_tasks.training.targets import Target, Targets
from unimol2_tasks.training.validation import validation_metrics

TARGETS = Targets(
    targets=(
        Target(name="melting point", kind="regression", scaling="standard", mean=300.0, std=50.0),
        Target(name="toxic", kind="binary"),
        Target(name="site", kind="multiclass", classes=3),
    ),
    prepare=PrepareParams(),
)
UNKNOWN = float("nan")
OUTPUTS = np.array(
    [
        [1.0, 2.0, 5.0, 0.0, 0.0],
        [0.0, -1.0, 0.0, 5.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 5.0],
        [9.0, 9.0, 9.0, 9.0, 9.0],
    ]
)
LABELS = np.array(
    [[360.0, 1.0, 0.0], [280.0, 0.0, 2.0], [UNKNOWN, 0.0, UNKNOWN], [UNKNOWN, UNKNOWN, UNKNOWN]]
)


def _metrics(labels: np.ndarray, outputs: np.ndarray = OUTPUTS) -> dict[str, float]:
    return validation_metrics(outputs, labels, TARGETS, PropertyLoss(TARGETS, FinetuneParams()))


def test_errors_are_in_the_labels_own_unit_and_classes_are_counted() -> None:
    metrics = _metrics(LABELS)
    assert metrics.pop("valid/loss") > 0
    assert metrics == pytest.approx(
        {
            "valid/mae/melting point": (10 + 20) / 2,
            "valid/rmse/melting point": np.sqrt((10**2 + 20**2) / 2),
            "valid/roc_auc/toxic": 1.0,
            "valid/accuracy/toxic": 2 / 3,
            "valid/accuracy/site": 1 / 2,
        }
    )


def test_what_the_labels_leave_undefined_is_absent() -> None:
    labels = LABELS.copy()
    labels[:, 0], labels[:, 1] = UNKNOWN, [1.0, 1.0, UNKNOWN, UNKNOWN]
    assert set(_metrics(labels)) == {"valid/loss", "valid/accuracy/toxic", "valid/accuracy/site"}


def test_outputs_that_are_no_numbers_give_a_loss_that_says_so() -> None:
    outputs = np.full_like(OUTPUTS, np.nan)
    metrics = _metrics(LABELS, outputs)
    assert set(metrics) == {"valid/loss"}
    assert np.isnan(metrics["valid/loss"])
