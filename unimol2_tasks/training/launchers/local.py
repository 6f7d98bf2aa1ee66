"""The ranks as children of this process, on this machine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from unimol2_tasks.process_tree import descendants, signal_all
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launch import LAUNCH, WORKER, ranks_below
from unimol2_tasks.training.launchers.launcher import Ending, Phase, inherited_environment
from unimol2_tasks.training.launchers.record import refuse_launch_of_another_kind

_STACK_DUMP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LocalLauncher:
    """Runs the ranks below this process, which they do not survive.

    Attributes:
        distributed: Whether the ranks are torchrun's; otherwise one process does the job alone.
    """

    distributed: bool

    def attach(self, run: RunFolder) -> None:
        """None: a local launch dies with the process that started it."""
        refuse_launch_of_another_kind(run, "local")

    def start(self, run: RunFolder, ranks: int, environment: Mapping[str, str]) -> "LocalLaunch":
        """Start the ranks, each with its share of the cores unless the environment says otherwise."""
        threads = max(1, len(os.sched_getaffinity(0)) // ranks)
        with run.log.open("ab") as log:
            process = subprocess.Popen(
                self._command(run, ranks),
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited_environment(), "OMP_NUM_THREADS": str(threads), **environment},
                # Outside of any repository: dvclive would look for one around it, and make it a DVC project.
                cwd=run.path.absolute().anchor,
                start_new_session=True,
            )
        return LocalLaunch(process)

    def cancel(self, run: RunFolder) -> None:
        """Nothing: a local launch dies with the process that started it."""

    def _command(self, run: RunFolder, ranks: int) -> list[str]:
        folder, parent = str(run.path.absolute()), str(os.getpid())
        if self.distributed:
            return [sys.executable, "-m", LAUNCH, folder, "--ranks", str(ranks), "--parent", parent]
        return [sys.executable, "-m", WORKER, folder, parent]


@dataclass(slots=True)
class LocalLaunch:
    """A tree of processes on this machine."""

    process: subprocess.Popen[bytes]
    name: str = "local launch"
    files_lag: float = 0.0
    _tree: list[psutil.Process] = field(default_factory=list)

    def phase(self) -> Phase:
        """Running as long as the tree's root does."""
        return "running" if self.process.poll() is None else "ended"

    def request_stop(self) -> None:
        """SIGTERM to the ranks only: torchrun would give them no more than its own 30 s."""
        # Ranks that outlive the root are nobody's descendants any more.
        self._tree = descendants(self.process.pid)
        signal_all(self._workers(), signal.SIGTERM)

    def dump_stacks(self) -> None:
        """SIGUSR1 to the ranks."""
        signal_all(self._workers(), signal.SIGUSR1)
        time.sleep(_STACK_DUMP_SECONDS)

    def end(self) -> None:
        """Kill the whole tree."""
        signal_all([*self._tree, *descendants(self.process.pid)], signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def ending(self) -> Ending:
        """Nothing: the run folder tells more than an exit code."""
        return Ending()

    def _workers(self) -> list[psutil.Process]:
        """The ranks below the root, or the root itself where there is none."""
        return ranks_below(self.process.pid) or [psutil.Process(self.process.pid)]
