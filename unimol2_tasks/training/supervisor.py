"""The supervisor: starts the worker's processes, follows them, and leaves none behind.

It never trusts an exit code: a job has succeeded when its result folder is there.
"""

import errno
import fcntl
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from unimol2_tasks import progress
from unimol2_tasks.errors import TrainingDiverged, TrainingFailed, UserError
from unimol2_tasks.params import SupervisionParams
from unimol2_tasks.training.interruption import interrupted, may_begin
from unimol2_tasks.training.job import Job, RunFolder, read_json
from unimol2_tasks.training.launchers.choice import launcher_for
from unimol2_tasks.training.launchers.launcher import Launch, Launcher
from unimol2_tasks.training.launchers.record import LaunchRecord
from unimol2_tasks.training.worker_warnings import WorkerWarnings

_POLL_SECONDS = 0.1
# Imports, compilation and the first step may take longer than any later step.
_START_SECONDS = 300.0
WORKER_DEFAULTS = {
    # Else the kernel maps and zeroes every large tensor anew: batches of 16,000 pairs took 1.5 times as long.
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184",
    # Kernels that oneDNN and PyTorch keep for each shape of a batch; by default 1,024 each, hundreds of MiB
    # after some ten thousand molecules. One pass needs fewer than these.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
}
"""Environment variables of the worker's processes, where this process has no value of its own."""
_NOT_THE_RUNS_DOING = frozenset({"time limit", "preempted", "node failure"})
_WORTH_REPEATING = frozenset({"crash", "hang", "communication"}) | _NOT_THE_RUNS_DOING


def supervise(job: Job, run: RunFolder, ranks: int, threads: int | None = None) -> None:
    """Run a job to its result, restarting it from its checkpoints where that makes sense.

    A thread that is not told of signals ends its launch when `interruptible_threads` says so.

    Args:
        job: What to do, and how its ranks are launched.
        run: Where; a folder left by an interrupted run is continued, and a launch that outlived its
            supervisor is followed.
        ranks: Training processes, over all nodes.
        threads: CPU threads of each; none: the cores shared out.

    Raises:
        UserError: The worker or the scheduler refused an input or a parameter, or another process works in
            this folder.
        TrainingFailed: It ended without a result; `reason` says how, and the log's end is in the message.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    with _sole_owner(run):
        if run.result.is_dir():
            return
        if not may_begin():
            raise TrainingFailed(f"{job.kind} was stopped before it was launched", "stopped")
        launcher, failures, furthest = launcher_for(job), 0, -1
        while True:
            attempt = _Attempt(job, run, launcher, ranks, threads)
            try:
                reason = attempt.run_to_end()
            except UserError:
                _forget_if_nothing_was_done(run)
                raise
            if run.result.is_dir():
                return
            if interrupted():
                raise TrainingFailed(_account(job, run, "stopped", attempt.account), "stopped")
            # A run of many days meets any number of time limits; it fails when it does not get on.
            if reason not in _NOT_THE_RUNS_DOING or attempt.step <= furthest:
                failures += 1
            furthest = max(furthest, attempt.step)
            if reason not in _WORTH_REPEATING or failures > job.params.supervision.max_restarts:
                raise TrainingFailed(_account(job, run, reason, attempt.account), reason)


@dataclass(slots=True)
class _Attempt:
    """One launch of the worker's processes.

    Attributes:
        step: The last step that was seen; -1: none.
        account: What the launcher knows about the end.
    """

    job: Job
    run: RunFolder
    launcher: Launcher
    ranks: int
    threads: int | None
    step: int = -1
    account: str = ""
    _beat: dict[str, Any] | None = None
    _since: float = field(default_factory=time.monotonic)
    _hangs: bool = False
    _announced: bool = False
    _warnings: WorkerWarnings = field(init=False)

    def __post_init__(self) -> None:
        self._warnings = WorkerWarnings(self.run.log)

    @property
    def _supervision(self) -> SupervisionParams:
        return self.job.params.supervision

    def run_to_end(self) -> str:
        """Launch, watch, clean up; returns why it ended.

        Raises:
            UserError: The worker refused what it was given, or the launcher cannot launch it.
        """
        launch = self._launch()
        try:
            while (phase := launch.phase()) != "ended" and not (self._hangs or interrupted()):
                if phase == "waiting":
                    self._wait(launch)
                time.sleep(_POLL_SECONDS)
                self._follow(launch)
        finally:
            self._end(launch)
        self._await_files(launch)
        self._warnings.tell()
        return self._reason(launch)

    def _launch(self) -> Launch:
        """Follow the launch that is there, or start one; an interruption leaves none behind."""
        try:
            return self.launcher.attach(self.run) or self._start()
        except UserError:
            raise
        except BaseException:
            self.launcher.cancel(self.run)
            raise

    def _start(self) -> Launch:
        self.run.job.write_text(self.job.model_dump_json(indent=1), encoding="utf-8")
        self.run.failure.unlink(missing_ok=True)
        self.run.heartbeat.unlink(missing_ok=True)
        return self.launcher.start(self.run, self.ranks, self._environment())

    def _environment(self) -> dict[str, str]:
        """What the ranks need besides this process's environment; collectives warn on every call."""
        # Ranks that wait for a hanging one must not give up before its stack is in the log. In minutes.
        patience = math.ceil(max(self._supervision.hang_seconds, _START_SECONDS) / 60) + 10
        own = {**WORKER_DEFAULTS, "DEEPSPEED_TIMEOUT": str(patience)}
        defaults = {name: value for name, value in own.items() if name not in os.environ}
        threads = {} if self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        return {**defaults, "PYTHONWARNINGS": "ignore", **threads, **self.job.params.launch.environment}

    def _wait(self, launch: Launch) -> None:
        """In a queue nothing hangs."""
        self._since = time.monotonic()
        if not self._announced:
            self._announced = True
            progress.report(self.job.kind, max(self.step, 0), 0, f"{launch.name} is waiting for its nodes")

    def _follow(self, launch: Launch) -> None:
        self._warnings.tell()
        beat = _read_beat(self.run)
        # Any news is a sign of life: while a network is measured, steps stand still.
        if beat is not None and beat != self._beat:
            self._beat, self.step, self._since = beat, beat["step"], time.monotonic()
            progress.report(self.job.kind, max(self.step, 0), beat["steps"], beat["detail"])
        limit = self._supervision.hang_seconds
        if self.step < 0:
            limit = max(limit, _START_SECONDS)
        if time.monotonic() - self._since > limit:
            self._hangs = True
            launch.dump_stacks()

    def _end(self, launch: Launch) -> None:
        """Ask the ranks to stop, give them their grace, then end what is left of them."""
        try:
            if launch.phase() != "ended" and not self._hangs:
                launch.request_stop()
                deadline = time.monotonic() + self._supervision.grace_seconds
                while launch.phase() != "ended" and time.monotonic() < deadline:
                    time.sleep(_POLL_SECONDS)
        finally:
            launch.end()

    def _await_files(self, launch: Launch) -> None:
        """Storage shared by machines may show late what the ranks wrote last."""
        deadline = time.monotonic() + launch.files_lag
        while time.monotonic() < deadline and not (self.run.result.is_dir() or self.run.failure.exists()):
            time.sleep(_POLL_SECONDS)

    def _reason(self, launch: Launch) -> str:
        ending, failure = launch.ending(), read_json(self.run.failure)
        self.account = ending.account
        if self._hangs:
            return "hang"
        told = None if failure is None else str(failure["reason"])
        if failure is not None and told == "diverged":
            raise TrainingDiverged(failure["message"])
        if failure is not None and told == "user error":
            raise UserError(failure["message"])
        if ending.reason == "user error":
            raise UserError(ending.account)
        # That a machine was taken away shows in the ranks as a stop, a crash or a broken connection.
        return ending.reason or told or "crash"


def _read_beat(run: RunFolder) -> dict[str, Any] | None:
    try:
        return read_json(run.heartbeat)
    except OSError as error:
        # NFS: the file was replaced by another machine between opening and reading.
        if error.errno != errno.ESTALE:
            raise
        return None


def _forget_if_nothing_was_done(run: RunFolder) -> None:
    """A refused job will be started with other inputs, under another key; nobody would come back for this.

    Unless it trained, has a job with a scheduler, or left what `unimol2 replay` reads.
    """
    worth_keeping = any(run.checkpoints.glob("step-*")) or run.diverged.exists()
    if not worth_keeping and LaunchRecord.read(run) is None:
        shutil.rmtree(run.path)


def _account(job: Job, run: RunFolder, reason: str, launcher: str) -> str:
    failure = read_json(run.failure)
    what = failure["message"] if failure else launcher or "the worker ended without a word"
    if failure and launcher:
        what += f" ({launcher})"
    log = run.log.read_text(encoding="utf-8", errors="replace") if run.log.exists() else ""
    tail = "\n".join(log.splitlines()[-15:])
    return f"{job.kind} ended without a result ({reason}): {what}\nThe end of {run.log}:\n{tail}"


@contextmanager
def _sole_owner(run: RunFolder) -> Iterator[None]:
    """Hold the run folder's lock; the kernel lets go of it when this process ends."""
    with (run.path / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{run.path}: another process is working on this very job; wait for it") from None
        yield
