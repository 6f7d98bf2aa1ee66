"""The figures that a log shows of each label."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.training import validation
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.losses import PropertyLoss
from unimol2_tasks.training.targets import Target, Targets
from unimol2_tasks.training.validation import Judged, PropertyValidation, validation_metrics

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


@pytest.mark.parametrize("patience", [1, 10**6])
def test_a_validation_ends_when_somebody_asks_for_a_stop(
    tiny_dataset: ArtifactRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    monkeypatch.setattr(validation, "summed", lambda values: values)
    dataset = open_dataset(tiny_dataset.uri)
    passes: list[int] = []

    def network(batch: Any) -> torch.Tensor:
        passes.append(batch.size)
        return torch.zeros(batch.size, 5)

    trained = SimpleNamespace(judged=lambda: SimpleNamespace(model=network), device=torch.device("cpu"))
    judged = Judged(dataset, np.arange(len(dataset)), np.ones((len(dataset), 3)))
    loss = PropertyLoss(TARGETS, FinetuneParams())
    judge = PropertyValidation(cast(Any, trained), judged, TARGETS, loss, RunFolder(tmp_path))
    metrics = judge(lambda: len(passes) >= patience)
    assert (metrics is None) == (patience == 1)
    assert (len(passes) == 1) == (patience == 1)
