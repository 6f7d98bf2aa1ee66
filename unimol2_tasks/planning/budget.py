"""The best use of a budget: how large a network, and for how many steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from unimol2_model import ModelConfig
from unimol2_tasks.params import Counted
from unimol2_tasks.planning.cost import molecule_flops
from unimol2_tasks.planning.prediction import LawScope, doubts_of
from unimol2_tasks.planning.sizes import MoleculeSizes
from unimol2_tasks.training.size import count_parameters

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that could be trained."""

    name: str
    parameters: int
    """Counted as the law counts them."""
    flops: float
    """Operations of one molecule in a training step."""

    @classmethod
    def of(
        cls,
        name: str,
        config: ModelConfig,
        sizes: MoleculeSizes,
        checkpoint_activations: bool,
        counted: Counted = "all",
    ) -> "Candidate":
        """Count what a network takes on molecules of these sizes."""
        flops = molecule_flops(config, sizes.counts, checkpoint_activations)
        return cls(name, count_parameters(config, counted), flops)


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent."""

    gpu_hours: float
    flops_per_second: float
    """What one GPU does, not what it could do."""
    batch_size: int
    """Molecules per optimiser step."""


@dataclass(frozen=True, slots=True)
class Spending:
    """The whole budget spent on one size."""

    name: str
    """Empty for a size between the candidates."""
    millions: float
    """Millions of parameters."""
    rate: float
    """Molecules per second and GPU."""
    steps: float
    """Optimiser steps that the budget pays."""
    loss: float
    """Validation loss at their end, by the law."""
    doubts: tuple[str, ...]
    """Why the law may not hold there."""


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """Where a budget is spent best."""

    spendings: tuple[Spending, ...]
    """One per candidate and one for the optimum, by size."""
    optimum: Spending
    """The best size between the smallest and the largest candidate, its operations interpolated."""
    at_end: bool
    """The optimum is the smallest or the largest candidate: a still smaller or larger one may be better."""


def plan_budget(budget: Budget, candidates: Sequence[Candidate], scope: LawScope) -> BudgetPlan:
    """Find the size with the lowest loss, and its neighbours.

    Args:
        budget: What may be spent.
        candidates: Networks of at least two sizes.
        scope: The law.

    Raises:
        ValueError: There are fewer than two sizes, or the budget does not pay one step of the smallest.
    """
    known = sorted(candidates, key=lambda one: one.parameters)
    if len({one.parameters for one in known}) < 2:
        raise ValueError("a plan needs candidates of at least 2 sizes")
    if _spend(budget, scope, known[0].name, known[0].parameters / 1e6, known[0].flops).steps < 1:
        raise ValueError(f"the budget does not pay one step of the smallest network, {known[0].name}")
    log_sizes = np.log([one.parameters / 1e6 for one in known])
    log_flops = np.log([one.flops for one in known])

    def at(log_millions: float, name: str = "") -> Spending:
        flops = float(np.exp(np.interp(log_millions, log_sizes, log_flops)))
        return _spend(budget, scope, name, float(np.exp(log_millions)), flops)

    spendings = [at(size, one.name) for size, one in zip(log_sizes, known, strict=True)]
    best = min(spendings, key=lambda one: one.loss)
    place = spendings.index(best)
    found = minimize_scalar(
        lambda x: at(float(x)).loss,
        bounds=(log_sizes[max(0, place - 1)], log_sizes[min(len(known) - 1, place + 1)]),
        method="bounded",
    )
    between = at(float(found.x))
    at_end = place in (0, len(known) - 1) and between.loss >= best.loss * (1 - 1e-6)
    if at_end:
        return BudgetPlan(tuple(spendings), best, at_end)
    return BudgetPlan(tuple(sorted([*spendings, between], key=lambda one: one.millions)), between, at_end)


def _spend(budget: Budget, scope: LawScope, name: str, millions: float, flops: float) -> Spending:
    rate = budget.flops_per_second / flops
    steps = budget.gpu_hours * _SECONDS_PER_HOUR * rate / budget.batch_size
    return Spending(
        name=name,
        millions=millions,
        rate=rate,
        steps=steps,
        # Less than a step trains nothing; the law has no value there.
        loss=float(scope.law.predict(millions, max(steps, 1.0))),
        doubts=tuple(doubts_of(scope, millions, steps, budget.batch_size)),
    )
