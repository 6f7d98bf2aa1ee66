"""What the supervisor needs of a place where ranks run, whichever it is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from unimol2_tasks.training.job import RunFolder

Phase = Literal["waiting", "running", "ended"]
"""waiting: in a queue, or without all its nodes; the clock of hangs stands still."""
_NOT_FOR_RANKS = ("DVC_", "AWS_", "PREFECT_")


@dataclass(frozen=True, slots=True)
class Ending:
    """What the place itself knows about the end of a launch.

    Attributes:
        reason: One of the supervisor's reasons, such as `preempted`; None: the run folder knows better.
        account: What a person should read: `Slurm job 4711 ended as NODE_FAIL`.
    """

    reason: str | None = None
    account: str = ""


class Launch(Protocol):
    """One start of a job's ranks, to be followed and ended."""

    @property
    def name(self) -> str:
        """What people call it: `Slurm job 4711`."""

    @property
    def files_lag(self) -> float:
        """Seconds until this machine sees what the ranks' machines wrote last."""

    def phase(self) -> Phase:
        """Where it is; cheap enough to be called ten times a second."""

    def request_stop(self) -> None:
        """Ask the ranks to save and end, and return at once."""

    def dump_stacks(self) -> None:
        """Have each rank print where it is, and return when that is in the log."""

    def end(self) -> None:
        """Leave nothing of it alive."""

    def ending(self) -> Ending:
        """How it ended."""


class Launcher(Protocol):
    """Starts the ranks of a job."""

    def attach(self, run: RunFolder) -> Launch | None:
        """The launch that an earlier supervisor of this run left alive.

        Raises:
            UserError: It belongs to another launcher, or does not come to its end.
        """

    def start(self, run: RunFolder, ranks: int, environment: Mapping[str, str]) -> Launch:
        """Start the ranks, which find their job in the run folder.

        Args:
            run: Where the job is described.
            ranks: Over all nodes.
            environment: Variables of the ranks, besides those that they inherit.

        Raises:
            UserError: The ranks cannot be started this way.
        """

    def cancel(self, run: RunFolder) -> None:
        """End what an `attach` or `start` that was interrupted may have left alive."""


def inherited_environment() -> dict[str, str]:
    """This process's environment, for the ranks.

    The worker's metrics are not those of the DVC stage that it may run in; the artifact's are. Ranks read
    and write files only, so that they need no credentials of S3 or Prefect.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_RANKS)}
