"""Rounds of a search: values are proposed, what is not known of them is trained, the results are told."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unimol2_tasks import progress
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import Params, SearchParams
from unimol2_tasks.stages.finetune import FinetuneInputs
from unimol2_tasks.stages.hyperparameters.proposals import Told, Values, number_of_trials, propose
from unimol2_tasks.stages.hyperparameters.trials import (
    Outcome,
    Trial,
    WorkOn,
    described,
    drop_predictor,
    forget_outcome,
    read_outcome,
    read_outcomes,
    settings_of,
    trial_key,
    with_values,
)
from unimol2_tasks.training.judgement import measure

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial that has ended."""

    number: int
    values: Values
    outcome: Outcome
    same_as: int | None = None
    """An earlier trial that had these very values, and was trained for both."""


@dataclass(slots=True)
class Rounds:
    """The trials of a search, those that an earlier start has trained among them.

    Attributes:
        search: Which values are tried.
        params: Those of every trial, but for the values.
        inputs: What every trial learns from.
        workspace: Where trials leave their outcomes.
        work_on: Who trains.
        results: Of all trials that have ended, in order.
    """

    search: SearchParams
    params: Params
    inputs: FinetuneInputs
    workspace: Workspace
    work_on: WorkOn
    results: list[TrialResult] = field(default_factory=list)
    _first: dict[str, int] = field(default_factory=dict)
    _known: dict[str, Outcome] = field(default_factory=dict)
    _kept: str | None = None

    def run(self) -> list[TrialResult]:
        """Go on to the last trial."""
        total, combinations = number_of_trials(self.search), self.search.combinations
        _LOGGER.info(
            "search: %d trials%s", total, "" if combinations is None else f" of {combinations} combinations"
        )
        self._known = read_outcomes(self.workspace)
        while proposals := propose(self.search, [_told(result) for result in self.results]):
            self._round(proposals)
        return self.results

    def _round(self, proposals: Sequence[Values]) -> None:
        keys = [trial_key(self.params, values) for values in proposals]
        for number, key in enumerate(keys, start=len(self.results)):
            self._first.setdefault(key, number)
        self._forget_failures(dict(zip(keys, proposals, strict=True)))
        new = {key: values for key, values in zip(keys, proposals, strict=True) if key not in self._known}
        self._kept = self._best()
        self._train([trial for key, values in new.items() if (trial := self._trial(key, values))])
        for key, values in zip(keys, proposals, strict=True):
            number, first = len(self.results), self._first[key]
            same_as = None if first == number else first
            self.results.append(TrialResult(number, values, self._known[key], same_as))

    def _forget_failures(self, proposed: Mapping[str, Values]) -> None:
        """Those that were shared out otherwise: smaller micro-batches may fit into the memory."""
        for key, values in proposed.items():
            outcome = self._known.get(key)
            if outcome is None or outcome.state == "complete":
                continue
            if outcome.settings != settings_of(self.params, values):
                forget_outcome(self.workspace, key)
                del self._known[key]

    def _trial(self, key: str, values: Values) -> Trial | None:
        """The training of these values; None where they do not go together, which is its outcome then."""
        try:
            params = with_values(self.params, values)
        except ParameterError as error:
            settings = settings_of(self.params, values)
            self._known[key] = Outcome(state="failed", reason=str(error), settings=settings)
            return None
        return Trial(self._first[key], key, values, params, self.inputs, self.workspace)

    def _train(self, trials: Sequence[Trial]) -> None:
        total = number_of_trials(self.search)
        done = total - len(trials) if self.search.sampler != "tpe" else len(self.results)
        progress.report("search", done, total)
        for trial in self.work_on(trials):
            done += 1
            best = self._keep_the_best(trial)
            progress.report("search", done, total, best)

    def _keep_the_best(self, trial: Trial) -> str:
        """Remove the predictor that is not the best one, for disks are finite; says what the best is."""
        self._known[trial.key] = read_outcome(self.workspace, trial.key)
        _tell(trial, self._known[trial.key])
        best = self._best()
        for key in {trial.key, self._kept} - {best, None}:
            drop_predictor(self.workspace, str(key))
        self._kept = best
        if best is None:
            return ""
        return f"best {measure(self.params.finetune.best_by)} {self._known[best].loss:.4f}"

    def _best(self) -> str | None:
        """The lowest loss of this search, of equals the first; another space's trials may be known too."""
        places = {
            key: (self._known[key].loss, number)
            for key, number in self._first.items()
            if key in self._known and self._known[key].loss is not None
        }
        return min(places, key=lambda key: places[key], default=None)


def best_of(results: Sequence[TrialResult]) -> TrialResult | None:
    """The trial with the lowest loss, of equals the first; None where all have failed."""
    complete = [result for result in results if result.outcome.loss is not None]
    return min(complete, key=lambda result: (result.outcome.loss, result.number), default=None)


def _told(result: TrialResult) -> Told:
    return Told(result.values, result.outcome.loss)


def _tell(trial: Trial, outcome: Outcome) -> None:
    end = (
        f"failed: {outcome.reason}"
        if outcome.loss is None
        else f"{measure(trial.params.finetune.best_by)} {outcome.loss:.6g}"
    )
    _LOGGER.info("trial %d (%s): %s", trial.number, described(trial.values), end)
