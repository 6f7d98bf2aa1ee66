"""DVC's commands, run in a project as it lies there."""

import os
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning.git import without_password, without_repository
from unimol2_tasks.versioning.lock_file import read_locks
from unimol2_tasks.versioning.owned_process import Say, run_owned

_TAIL_LINES = 15


def _nobody(line: str) -> None:
    """Listens to nothing."""


def reproduce(
    repository: Path, targets: Sequence[str] = (), say: Say = _nobody
) -> dict[str, dict[str, object]]:
    """Run the stages of a project's `dvc.yaml` whose inputs or parameters have changed, where they are.

    Args:
        repository: A Git repository with DVC set up.
        targets: Stages; none: all.
        say: Told every line that DVC prints.

    Returns:
        The stages of `dvc.lock` afterwards: their commands, and hashes of inputs and outputs. None where all
        targets are of another folder's `dvc.yaml`; `read_locks` has those.

    Raises:
        UserError: There is no `dvc.yaml`, or DVC or a stage failed; the message holds DVC's last lines.
    """
    if not (repository / "dvc.yaml").is_file():
        raise UserError(f"{repository}: no dvc.yaml there; give the folder of a DVC project")
    run_dvc(repository, ["repro", *(["--", *targets] if targets else [])], say)
    return read_locks(repository).get("dvc.lock", {})


def pull(repository: Path, say: Say = _nobody) -> None:
    """Fetch the data that `dvc.lock` names from the remote."""
    run_dvc(repository, ["pull"], say)


def push(repository: Path, say: Say = _nobody, mark: str | None = None) -> None:
    """Store the data that `dvc.lock` names, and what stages made from what, on the remote."""
    run_dvc(repository, ["push", "--run-cache"], say, mark)


def run_dvc(repository: Path, arguments: Sequence[str], say: Say, mark: str | None = None) -> None:
    """Run one DVC command as a process of its own; whatever it started ends with this call.

    Args:
        repository: The folder with `.dvc`.
        arguments: Command and options.
        say: Told every line that it prints.
        mark: See `owned_process.run_owned`.

    Raises:
        UserError: It failed; the message holds its last lines.
    """
    # Stages call `unimol2`, which lies beside the interpreter and need not be on the caller's path.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def tell(line: str) -> None:
        # DVC names the addresses of remotes and of imported data.
        shown = without_password(line)
        tail.extend(shown.splitlines())
        say(shown)

    code = run_owned(
        [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments],
        repository,
        {**without_repository(), "PATH": path, "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"},
        tell,
        mark,
    )
    if code:
        said = "\n".join(line for line in tail if line)
        raise UserError(f"dvc {' '.join(arguments)} failed in {repository}:\n{said}")
