"""A job: what the supervisor asks of the worker, and the folder in which both meet."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from unimol2_tasks.artifacts.drafts import sync_tree
from unimol2_tasks.params import Params, TrainingParams


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Somebody asked the run to stop, and it did at a safe place."""


class Job(BaseModel):
    """One training or inference run, as the worker reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["pretrain", "finetune", "predict", "embed", "embed-atoms"]
    dataset: Path
    """A local dataset folder, already verified."""
    model: Path | None = None
    """A local model or predictor folder; none: from scratch."""
    params: Params

    @property
    def training(self) -> TrainingParams:
        """The parameters that a training job trains with.

        Raises:
            ValueError: It does not train.
        """
        if self.kind == "pretrain":
            return self.params.pretrain
        if self.kind == "finetune":
            return self.params.finetune
        raise ValueError(f"a {self.kind} job does not train")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Files through which worker and supervisor speak; all writes are atomic."""

    path: Path

    @property
    def job(self) -> Path:
        """The job, as JSON."""
        return self.path / "job.json"

    @property
    def log(self) -> Path:
        """Everything the worker's processes print."""
        return self.path / "worker.log"

    @property
    def heartbeat(self) -> Path:
        """Progress of rank 0: step, steps, latest figures."""
        return self.path / "heartbeat.json"

    @property
    def failure(self) -> Path:
        """Why the worker gave up, when it knows."""
        return self.path / "failure.json"

    @property
    def checkpoints(self) -> Path:
        """Complete checkpoints, `step-…`."""
        return self.path / "checkpoints"

    @property
    def live(self) -> Path:
        """Dvclive's folder: metrics and plots while the run goes on."""
        return self.path / "dvclive"

    @property
    def deepspeed(self) -> Path:
        """The configuration that DeepSpeed was given."""
        return self.path / "deepspeed.json"

    @property
    def speed(self) -> Path:
        """What a finished run measured of itself: rates, shares of time, memory."""
        return self.path / "speed.json"

    @property
    def diverged(self) -> Path:
        """The weights and the batch at which training gave up, for `unimol2 replay`."""
        return self.path / "diverged"

    @property
    def best(self) -> Path:
        """The weights that have done best on validation."""
        return self.path / "best.safetensors"

    @property
    def result(self) -> Path:
        """The finished files; appears in one step, last."""
        return self.path / "result"

    @contextmanager
    def finishing(self) -> Iterator[Path]:
        """A folder to write the result into; it becomes `result` when the block ends well."""
        partial = self.path / ".result"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        sync_tree(partial)
        partial.rename(self.result)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace a small JSON file in one step."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The content of a small JSON file, or None where there is none."""
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return value
