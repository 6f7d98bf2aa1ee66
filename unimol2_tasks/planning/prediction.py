"""The validation loss that a scaling law promises, and where the promise does not hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from unimol2_tasks.params import Counted
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
    counted: Counted = "all"
    """Which parameters are the size of a network."""

    @classmethod
    def paper(cls) -> Self:
        """The paper's: 42M to 310M, from step 200,000 to the end of its runs (Uni-Mol2, "Scaling law")."""
        return cls(ScalingLaw.paper(), "the paper's law", _PAPER_SIZES, _PAPER_STEPS, _PAPER_BATCH)

    @classmethod
    def of_fit(cls, fit: Mapping[str, Any]) -> Self:
        """That of `law.json`, which `unimol2 scaling fit` wrote."""
        sizes, steps = fit["sizes"], fit.get("steps")
        return cls(
            ScalingLaw(**fit["constants"]),
            "this law",
            (min(sizes), max(sizes)),
            None if steps is None else (min(steps), max(steps)),
            fit.get("batch_size"),
            fit.get("counted", "all"),
        )


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
        millions: parameters of the network, in millions, counted as the law counts them.
        steps: optimiser steps.
        batch_size: molecules per step.
    """
    loss = float(scope.law.predict(millions, steps))
    return PredictedLoss(loss, scope.name, tuple(doubts_of(scope, millions, steps, batch_size)))


def doubts_of(scope: LawScope, millions: float, steps: float, batch_size: int | None) -> list[str]:
    """Why a law may not hold for a run; arguments as for `predict_loss`, None: not known."""
    doubts = []
    small, large = scope.sizes
    if not small <= millions <= large:
        size = f"{millions:,.1f}" if millions >= 10 else f"{millions:.3g}"
        doubts.append(f"{size}M parameters: {scope.name} was fitted on {small:g}M to {large:g}M")
    if scope.steps is not None and not scope.steps[0] <= steps <= scope.steps[1]:
        first, last = scope.steps
        doubts.append(f"{steps:,.0f} steps: {scope.name} was fitted on {first:,.0f} to {last:,.0f}")
    if None not in (scope.batch_size, batch_size) and batch_size != scope.batch_size:
        doubts.append(f"batches of {batch_size:,}: {scope.name} was fitted on {scope.batch_size:,}")
    return doubts
