"""SIGKILLs at seeded moments of a run, of every process that it has."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import psutil

from unimol2_tasks.params import Params
from unimol2_tasks.training.checkpoint_files import damage
from unimol2_tasks.training.launch import LAUNCH, WORKER

Victim = Literal["rank", "launcher", "supervisor"]
Moment = Literal["start", "step", "write"]
VICTIMS: tuple[Victim, ...] = ("rank", "launcher", "supervisor")
MOMENTS: tuple[Moment, ...] = ("start", "step", "write")
_START_SECONDS = 5.0
_STEP_SECONDS = 0.1
_WRITE_SECONDS = 0.05
# A rank that waits for a killed one to join heeds nothing; torchrun kills it after 30 s.
_END_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Kill:
    """Which process is killed, and when."""

    victim: Victim
    moment: Moment
    """While the processes start, between two steps, or while a checkpoint is being written."""
    checkpoints: int
    """New ones to wait for; not at the start."""
    delay: float
    """Part of the longest delay after that moment, 0 to 1."""
    rank: int


def seeded_kills(number: int, seed: int) -> list[Kill]:
    """Kills of each victim in turn, of each one as often at every moment."""
    rng = np.random.default_rng(seed)
    kills = []
    for turn in range(number):
        if turn % (len(VICTIMS) * len(MOMENTS)) == 0:
            moments = {victim: rng.permutation(len(MOMENTS)).tolist() for victim in VICTIMS}
        victim = VICTIMS[turn % len(VICTIMS)]
        kills.append(
            Kill(
                victim=victim,
                moment=MOMENTS[moments[victim].pop()],
                checkpoints=int(rng.integers(1, 4)),
                delay=float(rng.random()),
                rank=int(rng.integers(2)),
            )
        )
    return kills


@dataclass(slots=True)
class KilledRun:
    """A command that is killed and, where nothing else would, started again.

    Attributes:
        start: Starts the command.
        params: Its parameters.
        command: The command that runs now.
        half_written: Kills that left a checkpoint unfinished.
        log: What the ranks have printed so far.
    """

    start: Callable[..., Any]
    params: Params
    command: Any = None
    half_written: int = 0
    log: str = ""
    _launchers: set[int] = field(default_factory=set)

    def kill(self, kill: Kill) -> None:
        """Kill once; afterwards nothing of this life runs, and every checkpoint is whole."""
        if self.command is None or self.command.process.poll() is not None:
            self.command = self.start("pretrain", "model", self.params)
        launcher = self._await(kill)
        victim = {
            "rank": lambda: self._rank(launcher, kill.rank),
            "launcher": lambda: launcher,
            "supervisor": lambda: psutil.Process(self.command.process.pid),
        }[kill.victim]()
        life = [launcher, *launcher.children(recursive=True)]
        victim.send_signal(signal.SIGKILL)
        if kill.victim == "supervisor":
            assert self.command.process.wait(_END_SECONDS) == -signal.SIGKILL
        self._launchers.add(launcher.pid)
        left = psutil.wait_procs(life, timeout=_END_SECONDS)[1]
        assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
        self._look_at_checkpoints()

    def finish(self) -> None:
        """Let it run to its end."""
        if self.command.process.poll() is not None:
            self.command = self.start("pretrain", "model", self.params)
        while self.command.process.poll() is None:
            self.log = self.command.log or self.log
            time.sleep(0.02)
        assert self.command.process.returncode == 0, self.log

    def _await(self, kill: Kill) -> psutil.Process:
        """Wait for the moment; returns the launcher of then."""
        found: list[psutil.Process] = []

        def launched() -> bool:
            found[:] = [p for p in self._children(LAUNCH) if p.pid not in self._launchers]
            return bool(found) and (kill.victim != "rank" or len(_below(found[0], WORKER)) == 2)

        self.command.wait_until(launched)
        if kill.moment == "start":
            time.sleep(kill.delay * _START_SECONDS)
            return found[0]
        before = set(self.command.checkpoints)
        self.command.wait_until(self.command.run.heartbeat.exists)
        self.command.wait_until(lambda: len(set(self.command.checkpoints) - before) >= kill.checkpoints)
        if kill.moment == "write":
            self.command.wait_until(lambda: any(self.command.run.checkpoints.glob(".partial-*")))
        time.sleep(kill.delay * (_STEP_SECONDS if kill.moment == "step" else _WRITE_SECONDS))
        return found[0]

    def _children(self, module: str) -> list[psutil.Process]:
        return _below(psutil.Process(self.command.process.pid), module)

    def _rank(self, launcher: psutil.Process, number: int) -> psutil.Process:
        return next(p for p in _below(launcher, WORKER) if p.environ()["RANK"] == str(number))

    def _look_at_checkpoints(self) -> None:
        """The next life needs seconds to import its libraries before it touches them."""
        run = self.command.run
        self.log = self.command.log or self.log
        assert "passed over" not in self.log
        assert {path.name: damage(path) for path in run.checkpoints.glob("step-*")} == dict.fromkeys(
            self.command.checkpoints
        )
        self.half_written += any(run.checkpoints.glob(".partial-step-*"))


def _below(process: psutil.Process, module: str) -> list[psutil.Process]:
    """Processes of a module that a process has started itself."""
    found = []
    for child in process.children():
        try:
            if module in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
