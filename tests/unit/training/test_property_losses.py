"""The fine-tuning loss: what an unknown label may not change."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from unimol2_model import ModelConfig, UniMol2ForProperties
from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.training.finetune import PropertyObjective, validation_metrics
from unimol2_tasks.training.targets import Target, Targets

TARGETS = Targets(
    targets=(
        Target(name="melting point", kind="regression", mean=300.0, std=50.0),
        Target(name="toxic", kind="binary"),
    ),
    prepare=PrepareParams(),
)
UNKNOWN = float("nan")


def _objective(**params: Any) -> PropertyObjective:
    config = ModelConfig(blocks=1, atom_dim=16, heads=1, ffn_dim=8, pair_dim=8, pair_hidden_dim=4)
    return PropertyObjective(UniMol2ForProperties(config, outputs=2), TARGETS, FinetuneParams(**params))


def test_regression_is_judged_on_the_scale_of_the_training_labels() -> None:
    losses = _objective(regression_loss="mse").losses(
        torch.tensor([[1.0, 0.0]]), torch.tensor([[400.0, UNKNOWN]])
    )
    assert losses.tolist() == pytest.approx([(1.0 - 2.0) ** 2])


def test_classes_are_judged_by_cross_entropy() -> None:
    losses = _objective().losses(torch.tensor([[0.0, 2.0]]), torch.tensor([[UNKNOWN, 1.0]]))
    assert losses.tolist() == pytest.approx([float(np.log1p(np.exp(-2.0)))])


def test_a_molecules_loss_is_the_mean_over_its_known_labels() -> None:
    outputs = torch.tensor([[0.5, -1.0]])
    both, first, second = (
        float(_objective().losses(outputs, torch.tensor([labels])))
        for labels in ([310.0, 0.0], [310.0, UNKNOWN], [UNKNOWN, 0.0])
    )
    assert both == pytest.approx((first + second) / 2)
    assert first == pytest.approx(float(functional.smooth_l1_loss(torch.tensor(0.5), torch.tensor(0.2))))


def test_an_unknown_label_teaches_nothing() -> None:
    outputs = torch.randn(3, 2, requires_grad=True)
    labels = torch.tensor([[320.0, UNKNOWN], [UNKNOWN, 1.0], [UNKNOWN, UNKNOWN]])
    losses = _objective().losses(outputs, labels)
    assert losses[2] == 0
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)
    assert torch.equal(gradient == 0, torch.isnan(labels))


def test_validation_reports_errors_in_the_labels_own_unit() -> None:
    outputs = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    labels = np.array([[360.0, 1.0], [290.0, UNKNOWN], [UNKNOWN, 0.0]])
    metrics = validation_metrics(_objective(), outputs, labels, TARGETS)
    assert metrics["valid/mae/melting point"] == pytest.approx(10.0)
    assert set(metrics) == {"valid/loss", "valid/mae/melting point"}
