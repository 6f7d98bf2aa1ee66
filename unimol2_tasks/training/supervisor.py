"""The supervisor: starts the worker's processes, follows them, and leaves none behind.

It never trusts an exit code: a job has succeeded when its result folder is there.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from unimol2_tasks import progress
from unimol2_tasks.errors import TrainingFailed, UserError
from unimol2_tasks.params import SupervisionParams
from unimol2_tasks.process_tree import descendants, signal_all
from unimol2_tasks.training.job import Job, RunFolder, read_json
from unimol2_tasks.training.launch import WORKER

_POLL_SECONDS = 0.1
_STACK_DUMP_SECONDS = 1.0
# Imports, compilation and the first step may take longer than any later step.
_START_SECONDS = 300.0
# Else the kernel maps and zeroes every large tensor anew: batches of 16,000 pairs took 1.5 times as long.
WORKER_DEFAULTS = {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184"}
"""Environment variables of the worker's processes, where this process has no value of its own."""
_WORTH_REPEATING = frozenset({"crash", "hang", "communication"})


def supervise(job: Job, run: RunFolder, ranks: int, threads: int | None = None) -> None:
    """Run a job to its result, restarting it from its checkpoints where that makes sense.

    Args:
        job: What to do.
        run: Where; a folder left by an interrupted run is continued.
        ranks: Training processes on this machine.
        threads: CPU threads of each; none: the cores shared out.

    Raises:
        UserError: The worker refused an input or a parameter, or another process works in this folder.
        TrainingFailed: It ended without a result; `reason` says how, and the log's end is in the message.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    with _sole_owner(run):
        if run.result.is_dir():
            return
        run.job.write_text(job.model_dump_json(indent=1), encoding="utf-8")
        supervision = job.params.supervision
        for attempt in range(supervision.max_restarts + 1):
            try:
                reason = _Attempt(job, run, supervision, ranks, threads).run_to_end()
            except UserError:
                _forget_if_nothing_was_done(run)
                raise
            if run.result.is_dir():
                return
            if reason not in _WORTH_REPEATING or attempt == supervision.max_restarts:
                raise TrainingFailed(_account(job, run, reason), reason)


@dataclass(slots=True)
class _Attempt:
    """One start of the worker's processes."""

    job: Job
    run: RunFolder
    supervision: SupervisionParams
    ranks: int
    threads: int | None
    _seen: tuple[int, float] = field(default_factory=lambda: (-1, time.monotonic()))
    _hangs: bool = False

    def run_to_end(self) -> str:
        """Start, watch, clean up; returns why it ended.

        Raises:
            UserError: The worker refused what it was given.
        """
        self.run.failure.unlink(missing_ok=True)
        self.run.heartbeat.unlink(missing_ok=True)
        with self.run.log.open("ab") as log:
            process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                # Outside of any repository: dvclive would look for one around it, and make it a DVC project.
                cwd=self.run.path.absolute().anchor,
                start_new_session=True,
            )
        try:
            while process.poll() is None and not self._hangs:
                time.sleep(_POLL_SECONDS)
                self._follow(process.pid)
        finally:
            self._end(process)
        return self._reason()

    def _command(self) -> list[str]:
        if self.job.kind in ("pretrain", "finetune"):
            module, ranks = "unimol2_tasks.training.launch", [str(self.ranks)]
        else:
            module, ranks = WORKER, []
        return [sys.executable, "-m", module, str(self.run.path.absolute()), str(os.getpid()), *ranks]

    def _environment(self) -> dict[str, str]:
        """This process's environment with the threads shared out; collectives warn on every call.

        The worker's metrics are not those of the DVC stage that it may run in; the artifact's are.
        """
        threads = self.threads or max(1, len(os.sched_getaffinity(0)) // self.ranks)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
        return {**WORKER_DEFAULTS, **inherited, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}

    def _follow(self, pid: int) -> None:
        beat = read_json(self.run.heartbeat)
        if beat is not None and beat["step"] != self._seen[0]:
            self._seen = (beat["step"], time.monotonic())
            progress.report(self.job.kind, beat["step"], beat["steps"], beat["detail"])
        limit = self.supervision.hang_seconds
        if self._seen[0] < 0:
            limit = max(limit, _START_SECONDS)
        if time.monotonic() - self._seen[1] > limit:
            self._hangs = True
            signal_all(_workers(pid), signal.SIGUSR1)
            time.sleep(_STACK_DUMP_SECONDS)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Ask the ranks to stop, give them their grace, then kill what is left of the tree."""
        tree = descendants(process.pid)
        if process.poll() is None and not self._hangs:
            signal_all(_workers(process.pid), signal.SIGTERM)
            deadline = time.monotonic() + self.supervision.grace_seconds
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        signal_all([*tree, *descendants(process.pid)], signal.SIGKILL)
        process.kill()
        process.wait()

    def _reason(self) -> str:
        if self._hangs:
            return "hang"
        failure = read_json(self.run.failure)
        if failure is None:
            return "crash"
        if failure["reason"] == "user error":
            raise UserError(failure["message"])
        return str(failure["reason"])


def _workers(pid: int) -> list[psutil.Process]:
    """The ranks below the launcher `pid`, or `pid` itself where there is none."""
    found = []
    for process in descendants(pid):
        try:
            if WORKER in process.cmdline() and process.ppid() == pid:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found or [psutil.Process(pid)]


def _forget_if_nothing_was_done(run: RunFolder) -> None:
    """A refused job will be started with other inputs, under another key; nobody would come back for this."""
    if not any(run.checkpoints.glob("step-*")):
        shutil.rmtree(run.path)


def _account(job: Job, run: RunFolder, reason: str) -> str:
    failure = read_json(run.failure)
    what = failure["message"] if failure else "the worker ended without a word"
    tail = "\n".join(run.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
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
