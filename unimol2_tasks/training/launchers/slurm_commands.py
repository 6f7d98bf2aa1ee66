"""Slurm's commands: sbatch, sacct, squeue, scancel."""

import logging
import subprocess
from typing import NamedTuple

from unimol2_tasks.errors import UserError
from unimol2_tasks.training.launchers.launcher import inherited_environment
from unimol2_tasks.training.launchers.poll import NoAnswer

_log = logging.getLogger(__name__)
_COMMAND_SECONDS = 120.0
_CONNECTION_TROUBLES = (
    "timed out",
    "unable to contact",
    "zero bytes were transmitted",
    "socket error",
    "connection",
    "transport endpoint",
    "send failure",
    "receive failure",
    "broken pipe",
)
"""How sbatch tells that the controller's answer is missing, not that it was no."""
_OF_THIS_PROCESS = ("SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_", "SACCT_")
"""Variables of the job that this very process runs in, and options that would replace those given here."""


class Account(NamedTuple):
    """What sacct says of a job; texts as it prints them."""

    job: str
    state: str
    exit_code: str
    elapsed: str
    """Seconds."""
    limit: str
    """Minutes; a word where there is none."""


class SubmissionUncertain(UserError):  # noqa: N818 - perhaps nothing went wrong
    """Slurm did not say whether it took the job."""


def sbatch(script: str) -> str:
    """Submit a batch script; returns the number of its job.

    Raises:
        UserError: Slurm refused it.
        SubmissionUncertain: Slurm may have taken it, and did not live to say so.
    """
    done = _command("sbatch", "--parsable", script)
    if not done.returncode:
        return done.stdout.strip().partition(";")[0]
    message = done.stderr.strip()
    if done.returncode < 0 or any(words in message.lower() for words in _CONNECTION_TROUBLES):
        raise SubmissionUncertain(f"sbatch {script}: {message}; start again to see whether the job is there")
    raise UserError(f"sbatch refused {script}: {message}")


def sacct(*selection: str) -> list[Account]:
    """What Slurm's accounting holds of some jobs.

    Raises:
        NoAnswer: Nothing, for now.
        UserError: This cluster keeps no accounts.
    """
    columns = "--format=JobIDRaw,State,ExitCode,ElapsedRaw,TimelimitRaw"
    done = _command("sacct", *selection, "--allocations", "--noheader", "--parsable2", columns)
    if done.returncode:
        if "accounting storage is disabled" in done.stderr.lower():
            raise UserError("sacct: this cluster keeps no accounts, without which jobs cannot be followed")
        raise NoAnswer(f"sacct failed: {done.stderr.strip()}")
    rows = [line.split("|") for line in done.stdout.splitlines()]
    # "CANCELLED by 1000" and "RUNNING+" are one word to us.
    return [Account(row[0], row[1].split()[0].rstrip("+"), *row[2:]) for row in rows if len(row) == 5]


def squeue(name: str) -> list[str]:
    """The numbers of our jobs of a name that the controller holds; accounting may not know them yet.

    Raises:
        NoAnswer: Nothing, for now.
    """
    done = _command("squeue", "--me", f"--name={name}", "--states=all", "--noheader", "--format=%A")
    if done.returncode:
        raise NoAnswer(f"squeue failed: {done.stderr.strip()}")
    return done.stdout.split()


def scancel(*arguments: str) -> None:
    """Signal or cancel a job; one that has ended meanwhile is a warning."""
    done = _command("scancel", *arguments)
    if done.returncode:
        _log.warning("scancel %s: %s", " ".join(arguments), done.stderr.strip())


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's commands; one that takes too long has failed, with that as its message."""
    environment = {name: value for name, value in inherited_environment().items() if not _ours_alone(name)}
    try:
        return subprocess.run(
            words, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False, env=environment
        )
    except FileNotFoundError:
        raise UserError(f"{words[0]}: no such command; start this where jobs can be submitted") from None
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", f"{words[0]} timed out")


def _ours_alone(name: str) -> bool:
    """Whether a variable is not for Slurm's commands; which cluster to talk to is."""
    return name == "OMP_NUM_THREADS" or (
        name.startswith(_OF_THIS_PROCESS) and not name.startswith("SLURM_CONF")
    )
