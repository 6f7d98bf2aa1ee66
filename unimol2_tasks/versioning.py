"""DVC: reproduce stages, fetch and store data versions, from a flow or any other program."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import yaml

from unimol2_tasks.errors import UserError
from unimol2_tasks.process_tree import descendants, signal_all

_GRACE_SECONDS = 25.0
"""Prefect kills a cancelled flow after 30 s; a training stage needs most of it for its checkpoint."""


def reproduce(
    repository: Path, targets: Sequence[str] = (), say: Callable[[str], None] = lambda line: None
) -> dict[str, dict[str, object]]:
    """Run the stages of `dvc.yaml` whose inputs or parameters have changed.

    Args:
        repository: A Git repository with DVC set up.
        targets: Stages; none: all.
        say: Told every line that DVC prints.

    Returns:
        The stages of `dvc.lock` afterwards: their commands, and hashes of inputs and outputs.

    Raises:
        UserError: There is no `dvc.yaml`, or DVC or a stage failed; the message holds DVC's last lines.
    """
    if not (repository / "dvc.yaml").is_file():
        raise UserError(f"{repository}: no dvc.yaml there; give the folder of a DVC project")
    run_dvc(repository, ["repro", *targets], say)
    lock = yaml.safe_load((repository / "dvc.lock").read_text(encoding="utf-8"))
    stages: dict[str, dict[str, object]] = lock["stages"]
    return stages


def pull(repository: Path, say: Callable[[str], None] = lambda line: None) -> None:
    """Fetch the data that `dvc.lock` names from the remote."""
    run_dvc(repository, ["pull"], say)


def push(repository: Path, say: Callable[[str], None] = lambda line: None) -> None:
    """Store the data that `dvc.lock` names on the remote."""
    run_dvc(repository, ["push"], say)


def run_dvc(repository: Path, arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Run one DVC command as a process of its own; whatever it started ends with this call.

    Raises:
        UserError: It failed; the message holds its last lines.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
    # Stages call `unimol2`, which lies beside the interpreter and need not be on the caller's path.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = subprocess.Popen(
        command,
        cwd=repository,
        env={**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    try:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            say(lines[-1])
        process.wait()
    finally:
        _end(process)
    if process.returncode:
        tail = "\n".join(lines[-10:])
        raise UserError(f"dvc {' '.join(arguments)} failed in {repository}:\n{tail}")


def _end(process: subprocess.Popen[str]) -> None:
    """Stop the stage first, since DVC does not pass SIGTERM on to it, then DVC, then what is left."""
    tree = descendants(process.pid)
    signal_all(tree, signal.SIGTERM)
    psutil.wait_procs(tree, timeout=_GRACE_SECONDS)
    signal_all([*tree, *descendants(process.pid)], signal.SIGKILL)
    process.kill()
    process.wait()
