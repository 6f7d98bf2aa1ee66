"""Trials of a search: one training each, and a small file that says how it ended.

Where that file is, the trial is never trained again; where it is not, its training goes on from its last
checkpoint. A trial is all that another process or machine needs to know.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from unimol2_tasks.artifacts.manifest import MANIFEST, read_manifest
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.errors import ParameterError, TrainingDiverged, TrainingFailed
from unimol2_tasks.params import BestBy, Params, parse_params
from unimol2_tasks.stages import finetune
from unimol2_tasks.stages.hyperparameters.proposals import Values
from unimol2_tasks.training.continuation import MOVES_WORK, identifying
from unimol2_tasks.training.judgement import judgement, measure

_METRICS = "metrics.json"
_OF_THE_TRIAL = frozenset({"out of memory", "error", "crash", "hang"})
"""Endings that these values may have caused; after any other the search itself has to be started again."""


class Outcome(BaseModel):
    """How a trial ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal["complete", "failed"]
    loss: float | None = None
    """`judgement` of the saved predictor, of several seeds or folds the mean; None: it failed."""
    metrics: dict[str, float] = {}
    """The predictor's other metrics."""
    seconds: float = 0.0
    """How long its training took, since its last start."""
    reason: str = ""
    """Why it failed."""
    settings: dict[str, Any] = {}
    """What the work was shared out by (`settings_of`): with other values a failed trial may succeed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a search."""

    number: int
    key: str
    """Short digest of what sets its result; see `trial_key`."""
    values: Values
    params: Params
    """Those of the search, with the values."""
    inputs: finetune.FinetuneInputs
    workspace: Workspace

    def train(self) -> None:
        """Train, and leave the outcome in the workspace.

        Raises:
            UserError: Something is wrong that no other values would mend.
            TrainingFailed: It was stopped, or its machine was taken away; started again, it goes on.
        """
        started = time.monotonic()
        try:
            out = predictor_uri(self.workspace, self.key)
            ref = finetune.run(self.params, self.inputs, out, self.workspace.store)
            loss, metrics = _judged(self.workspace.store, ref.uri, self.params.finetune.best_by)
            outcome = Outcome(state="complete", loss=loss, metrics=metrics)
        except (ParameterError, TrainingDiverged) as error:
            outcome = Outcome(state="failed", reason=str(error))
        except TrainingFailed as error:
            if error.reason not in _OF_THE_TRIAL:
                raise
            # What follows is the end of a log.
            outcome = Outcome(state="failed", reason=str(error).partition("\n")[0])
        facts = {
            "seconds": round(time.monotonic() - started, 1),
            "settings": settings_of(self.params, self.values),
        }
        write_outcome(self.workspace, self.key, outcome.model_copy(update=facts))


WorkOn = Callable[[Sequence[Trial]], Iterator[Trial]]
"""Trains every trial and yields those that have ended, in order."""


def work_here(trials: Sequence[Trial]) -> Iterator[Trial]:
    """Train one after the other in this process."""
    for trial in trials:
        trial.train()
        yield trial


def with_values(params: Params, values: Mapping[str, Any]) -> Params:
    """Parameters whose fine-tuning has these values.

    Raises:
        ParameterError: They do not go together.
    """
    whole = params.model_dump()
    whole["finetune"] |= values
    return parse_params(whole, described(values))


def trial_key(params: Params, values: Values) -> str:
    """Short digest of all that sets the result of fine-tuning with these values, possible or not."""
    text = json.dumps(identifying(params.finetune) | dict(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def settings_of(params: Params, values: Values) -> dict[str, Any]:
    """What fine-tuning with these values is shared out by: ranks, micro-batches and alike."""
    settings = params.finetune.model_dump(mode="json", include=set(MOVES_WORK))
    return settings | {key: value for key, value in values.items() if key in MOVES_WORK}


def predictor_uri(workspace: Workspace, key: str) -> str:
    """Where a trial's predictor is made."""
    return f"{workspace.uri}/{key}/predictor"


def write_outcome(workspace: Workspace, key: str, outcome: Outcome) -> None:
    """Say, in one step, how a trial ended."""
    with workspace.new(_file(key)) as path:
        path.write_text(outcome.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_outcomes(workspace: Workspace) -> dict[str, Outcome]:
    """What is known about trials, by their keys."""
    names = [name for name in workspace.finished() if name.startswith("outcomes/")]
    keys = [name.removeprefix("outcomes/").removesuffix(".json") for name in names]
    return {key: read_outcome(workspace, key) for key in keys}


def read_outcome(workspace: Workspace, key: str) -> Outcome:
    """How a trial that has ended did so."""
    return Outcome.model_validate_json(workspace.path(_file(key)).read_bytes())


def forget_outcome(workspace: Workspace, key: str) -> None:
    """Let a trial be trained again."""
    workspace.discard(_file(key))


def drop_predictor(workspace: Workspace, key: str) -> None:
    """Remove what a trial has trained, but not what is known about it."""
    Workspace(f"{workspace.uri}/{key}", workspace.store).remove()


def _file(key: str) -> str:
    return f"outcomes/{key}.json"


def described(values: Mapping[str, Any]) -> str:
    """The values in words, for people."""
    return ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in values.items()
    )


def _judged(store: Store, predictor: str, best_by: BestBy) -> tuple[float, dict[str, float]]:
    """What the predictor is worth, and its other metrics, without a download of the weights."""
    with store.open(f"{predictor}/{MANIFEST}") as stream:
        manifest = read_manifest(stream.read(), predictor)
    names = {entry.path for entry in manifest.files if entry.path.rpartition("/")[2] == _METRICS}
    members = sorted(name for name in names if "/" in name)
    losses = [judgement(_read(store, f"{predictor}/{name}"), best_by) for name in members or [_METRICS]]
    whole = _read(store, f"{predictor}/{_METRICS}")
    others = {
        name: value for name, value in whole.items() if name != measure(best_by) and isinstance(value, float)
    }
    return sum(losses) / len(losses), others


def _read(store: Store, uri: str) -> Mapping[str, Any]:
    with store.open(uri) as stream:
        content: Mapping[str, Any] = json.load(stream)
    return content
