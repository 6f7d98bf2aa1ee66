"""The validation loss that a scaling law promises, and where the promise does not hold."""

from dataclasses import dataclass
from typing import Self

from unimol2_tasks.scaling.law import ScalingLaw

_PAPER_SIZES = (43.7, 310.1)
"""Millions of parameters of the networks that the paper calls 42M and 310M."""
_PAPER_BATCH = 1024
_PAPER_STEPS = (200_000, 818_000)
"""838 million samples in batches of 1,024 are some 818,000 steps."""


@dataclass(frozen=True, slots=True)
class LawScope:
    """A scaling law with what it was fitted on."""

    law: ScalingLaw
    name: str
    """For people."""
    sizes: tuple[float, float]
    """Smallest and largest network, in millions of parameters."""
    steps: tuple[float, float] | None
    """First and last optimiser step; None: not recorded."""
    batch_size: int | None
    """Molecules per step; None: not recorded. The law counts steps, not molecules."""

    @classmethod
    def paper(cls) -> Self:
        """The paper's: 42M to 310M, from step 200,000 to the end of its runs (Uni-Mol2, "Scaling law")."""
        return cls(ScalingLaw.paper(), "the paper's law", _PAPER_SIZES, _PAPER_STEPS, _PAPER_BATCH)


@dataclass(frozen=True, slots=True)
class PredictedLoss:
    """A prediction of the law."""

    loss: float
    """Validation loss at the end of the run."""
    law: str
    """Whose law it is, for people."""
    doubts: tuple[str, ...]
    """Why it may not hold; empty within what the law was fitted on."""


def predict_loss(scope: LawScope, millions: float, steps: int, batch_size: int) -> PredictedLoss:
    """Predict the final validation loss.

    Args:
        scope: the law.
        millions: parameters of the network, in millions.
        steps: optimiser steps.
        batch_size: molecules per step.
    """
    doubts = []
    small, large = scope.sizes
    if not small <= millions <= large:
        doubts.append(f"{millions:,.1f}M parameters: {scope.name} was fitted on {small:g}M to {large:g}M")
    if scope.steps is not None and not scope.steps[0] <= steps <= scope.steps[1]:
        first, last = scope.steps
        doubts.append(f"{steps:,} steps: {scope.name} was fitted on {first:,.0f} to {last:,.0f}")
    if scope.batch_size is not None and batch_size != scope.batch_size:
        doubts.append(f"batches of {batch_size:,}: {scope.name} was fitted on {scope.batch_size:,}")
    return PredictedLoss(float(scope.law.predict(millions, steps)), scope.name, tuple(doubts))
