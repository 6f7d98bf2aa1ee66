"""The fine-tuning loss: what it is, and what an unknown label or a neighbour may not change."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.training.losses import PropertyLoss
from unimol2_tasks.training.targets import Target, Targets

TARGETS = Targets(
    targets=(
        Target(name="melting point", kind="regression", scaling="standard", mean=300.0, std=50.0),
        Target(name="toxic", kind="binary", class_weights=(0.5, 2.0)),
        Target(name="clearance", kind="regression", scaling="log", mean=2.0, std=0.5),
        Target(name="site", kind="multiclass", classes=3, class_weights=(1.0, 3.0, 0.1)),
    ),
    prepare=PrepareParams(),
)
UNKNOWN = float("nan")
LABELS = torch.tensor(
    [
        [320.0, 1.0, 9.0, 2.0],
        [UNKNOWN, 0.0, 4.0, UNKNOWN],
        [280.0, UNKNOWN, UNKNOWN, 1.0],
        [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN],
    ]
)


def _outputs() -> torch.Tensor:
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


def _losses(outputs: torch.Tensor, labels: torch.Tensor, **params: Any) -> torch.Tensor:
    return PropertyLoss(TARGETS, FinetuneParams(**params))(outputs, labels)


def _only(place: int, value: float) -> torch.Tensor:
    labels = torch.full((1, 4), UNKNOWN)
    labels[0, place] = value
    return labels


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_labels_far_from_zero_keep_their_differences(precision: torch.dtype) -> None:
    """Total energies: in single precision neighbours at -40,000 are 0.004 apart."""
    energies = Targets(
        targets=(Target(name="energy", kind="regression", scaling="standard", mean=-4e4, std=1e-3),),
        prepare=PrepareParams(),
    )
    labels = torch.tensor([[-4e4 + 1e-3]], dtype=torch.float64)
    losses = PropertyLoss(energies, FinetuneParams(regression_loss="l1"))(
        torch.zeros(1, 1, dtype=precision), labels
    )
    assert losses.dtype == torch.float32
    assert float(losses) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [("smooth_l1", functional.smooth_l1_loss), ("l1", functional.l1_loss), ("mse", functional.mse_loss)],
)
def test_regression_is_judged_on_the_scale_of_the_training_labels(loss: str, expected: Any) -> None:
    outputs = _outputs()[:1]
    standard = _losses(outputs, _only(0, 400.0), regression_loss=loss)
    assert float(standard) == pytest.approx(float(expected(outputs[0, 0], torch.tensor(2.0))))
    logarithmic = _losses(outputs, _only(2, 9.0), regression_loss=loss)
    scaled = torch.tensor((np.log(9.0) - 2.0) / 0.5).float()
    assert float(logarithmic) == pytest.approx(float(expected(outputs[0, 2], scaled)), rel=1e-5)


def test_classes_are_judged_by_weighted_cross_entropy() -> None:
    outputs = _outputs()[:1]
    probability = float(outputs[0, 1].sigmoid())
    assert float(_losses(outputs, _only(1, 1.0))) == pytest.approx(-2.0 * np.log(probability), rel=1e-5)
    assert float(_losses(outputs, _only(1, 0.0))) == pytest.approx(-0.5 * np.log(1 - probability), rel=1e-5)
    shares = outputs[0, 3:].softmax(0)
    assert float(_losses(outputs, _only(3, 1.0))) == pytest.approx(-3.0 * np.log(float(shares[1])), rel=1e-5)


@pytest.mark.parametrize(("place", "value", "weight"), [(1, 1.0, 2.0), (1, 0.0, 0.5), (3, 2.0, 0.1)])
def test_the_focal_loss_is_cross_entropy_times_a_power_of_what_is_missed(
    place: int, value: float, weight: float
) -> None:
    """Lin et al., 2017, eq. 4: (1 - p)^γ · -ln p."""
    outputs = _outputs()[:1]
    entropy = float(_losses(outputs, _only(place, value))) / weight
    missed = 1 - np.exp(-entropy)
    for gamma in (0.0, 0.5, 2.0):
        focal = _losses(outputs, _only(place, value), classification_loss="focal", focal_gamma=gamma)
        assert float(focal) == pytest.approx(weight * missed**gamma * entropy, rel=1e-5)


def test_the_focal_loss_of_a_certain_class_can_be_differentiated() -> None:
    outputs = torch.full((1, 6), 200.0, requires_grad=True)
    loss = _losses(outputs, _only(1, 1.0), classification_loss="focal", focal_gamma=0.5)
    (gradient,) = torch.autograd.grad(loss.sum(), outputs)
    assert float(loss.detach()) == 0
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_a_molecules_loss_is_the_mean_over_its_known_labels_whatever_its_neighbours_have(loss: str) -> None:
    outputs = _outputs()
    together = _losses(outputs, LABELS, classification_loss=loss)
    for row in range(3):
        known = [place for place in range(4) if not torch.isnan(LABELS[row, place])]
        alone = [
            float(
                _losses(outputs[row : row + 1], _only(place, float(LABELS[row, place])),
                        classification_loss=loss)
            )
            for place in known
        ]  # fmt: skip
        assert float(together[row]) == pytest.approx(np.mean(alone), rel=1e-5)


def test_an_unknown_label_teaches_nothing() -> None:
    outputs = _outputs().requires_grad_()
    losses = _losses(outputs, LABELS)
    assert losses[3] == 0
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)
    columns = torch.isnan(LABELS)[:, [0, 1, 2, 3, 3, 3]]
    assert torch.equal(gradient == 0, columns)


def test_a_scale_far_from_zero_is_not_rounded_by_half_precision() -> None:
    """Energies around -400 that vary by 0.01: in bf16 their mean would be off by 1."""
    target = Target(name="energy", kind="regression", scaling="standard", mean=-400.123, std=0.01)
    loss = PropertyLoss(Targets(targets=(target,), prepare=PrepareParams()), FinetuneParams())
    outputs = torch.zeros(1, 1, dtype=torch.bfloat16)
    assert float(loss(outputs, torch.tensor([[-400.123]], dtype=torch.float64))) == pytest.approx(0, abs=1e-6)
