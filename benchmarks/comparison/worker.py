"""The driver's end of a worker process."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from benchmarks.comparison.measuring import Clock, Job

ROOT = Path(__file__).parents[2]
_LOG_LINES = 20
_PATIENCE_SECONDS = 10


class WorkerError(RuntimeError):
    """A worker that ended before it had answered, with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What every worker of a comparison is given."""

    weights: Path
    """A released checkpoint.pt."""
    molecules: Path
    """Sets of molecules, .npz."""
    threads: int
    clock: Clock


class Worker:
    """A network in a process of its own, so that neither memory nor thread pools of two networks mix.

    Args:
        python: the interpreter of its environment.
        module: as after `python -m`; it may import what is below the root of the project.
        inputs: what it is given.
        precision: float32 or bfloat16.
        log: file for all that it prints.
        defaults: environment variables, where the driver has no value of its own.
    """

    def __init__(
        self,
        python: Path,
        module: str,
        inputs: Inputs,
        precision: str,
        log: Path,
        defaults: Mapping[str, str],
    ) -> None:
        self.log = log
        self.module = module
        options = ["--weights", str(inputs.weights), "--molecules", str(inputs.molecules)]
        settings = ["--threads", str(inputs.threads), "--precision", precision, "--clock", inputs.clock]
        versions = ["--torch", torch.__version__]
        with log.open("w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [str(python), "-m", module, *options, *settings, *versions],
                # Not the project: unimol_tools puts a log into the working directory.
                cwd=log.parent,
                env={**defaults, **os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.process.kill()
        # Closes its stdin, upon which it ends.
        self.process.communicate(timeout=_PATIENCE_SECONDS)

    def measure(self, job: Job) -> list[float]:
        """Wait for a job's answer; see `Network.measure`.

        Raises:
            WorkerError: the process ended instead.
        """
        if self.process.stdin is None or self.process.stdout is None:
            raise WorkerError(f"{self.module}: was started without pipes")
        try:
            self.process.stdin.write(json.dumps(asdict(job)) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise WorkerError(self._last_words(job))
        values: list[float] = json.loads(answer)
        return values

    def _last_words(self, job: Job) -> str:
        lines: Sequence[str] = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        status = self.process.wait(_PATIENCE_SECONDS)
        return "\n".join(
            [f"{self.module} ended with status {status} at {job}; its log ends with:", *lines[-_LOG_LINES:]]
        )
