"""What a run folder remembers of a launch that outlives the process that made it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from unimol2_tasks.errors import UserError
from unimol2_tasks.training.job import RunFolder, read_json, write_json


@dataclass(frozen=True, slots=True)
class LaunchRecord:
    """A launch, from the moment before it is submitted to the moment when it is known to have ended.

    Attributes:
        launcher: `slurm` or `kubernetes`.
        name: Chosen by us before submission, so that a launch whose submission was interrupted is found.
        job: The scheduler's own id, once it has given one.
        stopping: Whether its end was asked for; such a launch is not continued.
    """

    launcher: str
    name: str
    job: str | None = None
    stopping: bool = False

    @classmethod
    def read(cls, run: RunFolder) -> Self | None:
        """The record of a run folder, if it has one."""
        content = read_json(_path(run))
        return None if content is None else cls(**content)

    def write(self, run: RunFolder) -> None:
        """Replace the record of a run folder."""
        write_json(_path(run), asdict(self))

    @staticmethod
    def forget(run: RunFolder) -> None:
        """Nothing of the launch is left."""
        _path(run).unlink(missing_ok=True)


def refuse_launch_of_another_kind(run: RunFolder, launcher: str) -> None:
    """Two launches in one folder would destroy each other's checkpoints.

    Raises:
        UserError: The folder has a launch that was made by another launcher.
    """
    record = LaunchRecord.read(run)
    if record is not None and record.launcher != launcher:
        raise UserError(
            f"{run.path}: {record.launcher} job {record.job or record.name} of this run may still be alive; "
            f"go on with launch.launcher={record.launcher}, or cancel that job and remove {_path(run)}"
        )


def _path(run: RunFolder) -> Path:
    return run.path / "scheduler.json"
