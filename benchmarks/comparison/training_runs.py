"""Pretraining jobs as users run them, and what their processes take."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.comparison import bare_step
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.process_tree import descendants
from unimol2_tasks.training.job import Job, RunFolder, read_json
from unimol2_tasks.training.launch import WORKER
from unimol2_tasks.training.supervisor import WORKER_DEFAULTS, supervise

_POLL_SECONDS = 0.05
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of run."""

    preset: str
    batch: int
    """Molecules per optimiser step."""
    steps: int
    ranks: int = 1
    zero_stage: int = 0
    loader_workers: int = 0

    def params(self, **training: Any) -> Params:
        """Parameters of a run of this kind, with one CPU thread per rank."""
        pretrain = {
            "batch_size": self.batch, "steps": self.steps, "ranks": self.ranks, "threads": 1,
            "zero_stage": self.zero_stage, "loader_workers": self.loader_workers, "warmup_steps": 1,
            # Validation has a time of its own in the run's figures, and is not what is measured here.
            "validation_molecules": 1, "validate_every": self.steps, **training,
        }  # fmt: skip
        return parse_params({"model": {"preset": self.preset}, "pretrain": pretrain})


def loop_figures(case: Case, dataset: Path, folder: Path) -> dict[str, float]:
    """What a whole run measures of itself: `molecules_per_second`, `data_wait_share` and the rest."""
    with _run(folder) as run:
        _supervise(case.params(), dataset, run)
        figures: dict[str, float] | None = read_json(run.speed)
    if figures is None:
        raise OSError(f"{run.speed}: the run left no figures")
    return figures


def bare_rate(case: Case, dataset: Path, folder: Path) -> float:
    """Molecules per second of the bare steps, in a process that starts as a rank does."""
    with _run(folder) as run:
        job = Job(kind="pretrain", dataset=dataset, params=case.params())
        run.job.write_text(job.model_dump_json(), encoding="utf-8")
        subprocess.run(
            [sys.executable, "-m", bare_step.__name__, str(run.path)],
            env={**WORKER_DEFAULTS, **os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
        )
        result = read_json(run.path / bare_step.RESULT) or {}
    return float(result["molecules_per_second"])


@dataclass(frozen=True, slots=True)
class Memory:
    """What one rank took, in bytes."""

    peak: int
    """Resident memory, the most until the last step; what the result needs comes on top."""
    moments: int
    """Adam's two moments, as they are in this rank's part of a checkpoint."""


def rank_memory(case: Case, dataset: Path, folder: Path) -> list[Memory]:
    """Memory of each rank of a run that saves a checkpoint after its last step."""
    with _run(folder) as run:
        with _watching(run, case.steps) as peaks:
            _supervise(case.params(checkpoint_every=case.steps), dataset, run)
        checkpoint = next(run.checkpoints.glob("step-*"))
        return [Memory(peaks[rank], _moments(checkpoint, rank)) for rank in range(case.ranks)]


def _supervise(params: Params, dataset: Path, run: RunFolder) -> None:
    training = params.pretrain
    supervise(Job(kind="pretrain", dataset=dataset, params=params), run, training.ranks, training.threads)


@contextmanager
def _run(folder: Path) -> Iterator[RunFolder]:
    """A run folder that goes when it has been read: checkpoints are large."""
    path = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield RunFolder(path)
    finally:
        shutil.rmtree(path)


@contextmanager
def _watching(run: RunFolder, steps: int) -> Iterator[dict[int, int]]:
    """Peak resident memory by rank, bytes, as seen until the heartbeat of the last step."""
    peaks: dict[int, int] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL_SECONDS):
            seen = _peaks()
            beat = read_json(run.heartbeat)
            if beat is not None and beat["step"] >= steps:
                return
            peaks.update(seen)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()


def _peaks() -> dict[int, int]:
    found = {}
    for process in descendants(os.getpid()):
        try:
            if WORKER in process.cmdline():
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
                kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
                found[int(process.environ()["RANK"])] = int(kib) * 1024
        except (psutil.Error, OSError, StopIteration, KeyError):
            # It ended, or has not become a rank yet.
            continue
    return found


def _moments(checkpoint: Path, rank: int) -> int:
    """Bytes of Adam's moments in the file that holds this rank's; without ZeRO all ranks share one."""
    own = [
        path for path in checkpoint.rglob("*optim_states.pt") if f"zero_pp_rank_{rank}_" in path.name
    ] or list(checkpoint.rglob("*model_states.pt"))
    # DeepSpeed's files hold objects of its own; these were written by the run a moment ago.
    return _moment_bytes(torch.load(own[0], map_location="cpu", weights_only=False))


def _moment_bytes(value: Any) -> int:
    if isinstance(value, Mapping):
        own: list[torch.Tensor] = [
            value[name] for name in _MOMENTS if isinstance(value.get(name), torch.Tensor)
        ]
        here = sum(moment.numel() * moment.element_size() for moment in own)
        return here + sum(map(_moment_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_moment_bytes, value))
    return 0
