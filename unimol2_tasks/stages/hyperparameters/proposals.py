"""Which values the trials of a search try: Optuna's samplers, as functions of what is known.

A proposal depends on the parameters and on the results of earlier trials alone, never on which of them were
trained by this process, so that an interrupted search goes on as if nothing had happened.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from unimol2_tasks.params import Range, SearchParams
from unimol2_tasks.params.search import Choice, Dimension, is_whole

Values = Mapping[str, Choice]
"""A value for each searched key of `finetune`."""


@dataclass(frozen=True, slots=True)
class Told:
    """A trial that has ended."""

    values: Values
    loss: float | None
    """None: it failed."""


def number_of_trials(search: SearchParams) -> int:
    """Trials that the search will have; a grid has no more than its combinations."""
    if search.sampler == "grid" and search.combinations is not None:
        return min(search.trials, search.combinations)
    return search.trials


def propose(search: SearchParams, earlier: Sequence[Told]) -> list[Values]:
    """The values of the next trials: of all where none learns from another, else of the next few.

    Args:
        search: What is searched, and how.
        earlier: All trials that have ended, in their order.

    Returns:
        One mapping per trial; empty when the search is over.
    """
    left = number_of_trials(search) - len(earlier)
    if left <= 0:
        return []
    if search.sampler != "tpe":
        return _ask(search, _fixed_sampler(search), (), number_of_trials(search))[len(earlier) :]
    # A sampler that has gone through more proposals would draw other numbers than one that starts here.
    seed = int(np.random.SeedSequence([search.seed, len(earlier)]).generate_state(1)[0])
    return _ask(search, optuna.samplers.TPESampler(seed=seed), earlier, min(left, search.parallel))


def _ask(
    search: SearchParams, sampler: optuna.samplers.BaseSampler, earlier: Sequence[Told], count: int
) -> list[Values]:
    distributions = {key: _distribution(key, values) for key, values in search.space.items()}
    verbosity = optuna.logging.get_verbosity()
    # It would announce a study in memory, of which nobody hears again.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=sampler)
    finally:
        optuna.logging.set_verbosity(verbosity)
    for told in earlier:
        # A failed trial is infinitely bad, or the sampler would not learn to stay away.
        loss = math.inf if told.loss is None else told.loss
        study.add_trial(
            optuna.trial.create_trial(params=dict(told.values), distributions=distributions, value=loss)
        )
    return [dict(study.ask(distributions).params) for _ in range(count)]


def _fixed_sampler(search: SearchParams) -> optuna.samplers.BaseSampler:
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=search.seed)
    choices: dict[str, Sequence[Any]] = {
        key: values for key, values in search.space.items() if isinstance(values, tuple)
    }
    return optuna.samplers.GridSampler(choices, seed=search.seed)


def _distribution(key: str, values: Dimension) -> BaseDistribution:
    if not isinstance(values, Range):
        return CategoricalDistribution(values)
    if is_whole(key):
        step = 1 if values.step is None else int(values.step)
        return IntDistribution(int(values.low), int(values.high), log=values.log, step=step)
    return FloatDistribution(values.low, values.high, log=values.log, step=values.step)
