"""The ranks as a Slurm batch job: submitted with sbatch, followed with sacct, ended with scancel."""

import logging
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from unimol2_tasks.errors import UserError
from unimol2_tasks.params import LaunchParams
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launch import NO_RUN_FOLDER, STACKS, request_file
from unimol2_tasks.training.launchers.launcher import Ending, Phase
from unimol2_tasks.training.launchers.poll import NoAnswer, Poll
from unimol2_tasks.training.launchers.record import LaunchRecord, refuse_launch_of_another_kind
from unimol2_tasks.training.launchers.slurm_commands import (
    Account,
    SubmissionUncertain,
    sacct,
    sbatch,
    scancel,
    squeue,
)
from unimol2_tasks.training.launchers.slurm_script import batch_script

_log = logging.getLogger(__name__)
# Slurm kills what is left of a cancelled job after its KillWait, 30 s by default.
_END_SECONDS = 90.0
# "The signal may be sent up to 60 seconds earlier than specified" (sbatch's manual, --signal).
_SIGNAL_LEEWAY_SECONDS = 60
_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "SUSPENDED", "REQUEUE_HOLD", "RESV_DEL_HOLD"})
_REASONS = {
    "TIMEOUT": "time limit",
    "DEADLINE": "time limit",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "node failure",
    "BOOT_FAIL": "node failure",
    "PREEMPTED": "preempted",
    "CANCELLED": "stopped",
    "REVOKED": "stopped",
}
"""States with a reason of their own; the run folder tells why a job COMPLETED or FAILED."""
_ENDED = _REASONS.keys() | {"COMPLETED", "FAILED"}


@dataclass(frozen=True, slots=True)
class SlurmLauncher:
    """Submits batch jobs.

    Attributes:
        params: Nodes and what to ask of Slurm.
        grace: Seconds that the ranks need for an emergency checkpoint.
    """

    params: LaunchParams
    grace: float

    @property
    def notice(self) -> int:
        """Seconds before the time limit at which the ranks are asked to stop."""
        return math.ceil(self.grace) + _SIGNAL_LEEWAY_SECONDS

    def attach(self, run: RunFolder) -> "SlurmLaunch | None":
        """The job of an earlier supervisor, also one whose number that one did not live to write down."""
        refuse_launch_of_another_kind(run, "slurm")
        record = LaunchRecord.read(run)
        if record is None:
            return None
        if record.job is None:
            record = _find(record)
        if record is None:
            LaunchRecord.forget(run)
            return None
        launch = self._follow(run, record)
        if record.stopping or launch.poll() == "ended":
            launch.end()
            if LaunchRecord.read(run) is not None:
                raise UserError(f"{launch.name} of this run does not end yet; start again when sacct says so")
            return None
        return launch

    def start(self, run: RunFolder, ranks: int, environment: Mapping[str, str]) -> "SlurmLaunch":
        """Write the batch script into the run folder and submit it."""
        record = LaunchRecord("slurm", f"unimol2-{uuid.uuid4().hex[:12]}")
        text = batch_script(run, record.name, ranks, self.params, environment, self.notice)
        script = run.path / "slurm.sh"
        script.write_text(text, encoding="utf-8")
        request_file(run).write_text("", encoding="utf-8")
        record.write(run)
        try:
            record = replace(record, job=sbatch(str(script.absolute())))
        except SubmissionUncertain:
            # The next start looks for the job by its name.
            raise
        except UserError:
            LaunchRecord.forget(run)
            raise
        record.write(run)
        _log.info("submitted Slurm job %s", record.job)
        return self._follow(run, record)

    def cancel(self, run: RunFolder) -> None:
        """Cancel the job of this run, also one whose number is not known; the next start makes sure."""
        record = LaunchRecord.read(run)
        if record is not None and record.job is not None:
            self._follow(run, record).end()
        elif record is not None:
            # The record stays: a submission that was interrupted may still be on its way.
            replace(record, stopping=True).write(run)
            scancel(f"--name={record.name}")

    def _follow(self, run: RunFolder, record: LaunchRecord) -> "SlurmLaunch":
        return SlurmLaunch(run, record, self.params.poll_seconds, self.notice)


@dataclass(slots=True)
class SlurmLaunch:
    """A submitted job."""

    run: RunFolder
    record: LaunchRecord
    poll_seconds: float
    notice: int
    poll: Poll = field(init=False)
    _account: Account | None = None

    def __post_init__(self) -> None:
        self.poll = Poll(self._ask, self.poll_seconds)

    @property
    def name(self) -> str:
        """With the number that Slurm's own commands take."""
        return f"Slurm job {self.record.job}"

    @property
    def files_lag(self) -> float:
        """As long as between two questions: NFS shows new files late."""
        return self.poll_seconds

    def phase(self) -> Phase:
        """What sacct last said."""
        return self.poll()

    def request_stop(self) -> None:
        """SIGTERM to the job's steps; a job that has not begun is cancelled."""
        self._stopping()
        scancel(*([] if self.poll.phase == "waiting" else ["--signal=TERM"]), str(self.record.job))

    def dump_stacks(self) -> None:
        """Through the run folder: scancel's signals would reach the ranks' own children too."""
        request_file(self.run).write_text(STACKS, encoding="utf-8")
        self.poll.wait_for_end(self.files_lag)

    def end(self) -> None:
        """Cancel it, unless it is known to have ended; wait until it has."""
        if self.poll.phase != "ended":
            self._stopping()
            scancel(str(self.record.job))
            if not self.poll.wait_for_end(_END_SECONDS):
                _log.warning("%s was cancelled and has not ended yet", self.name)
                return
        LaunchRecord.forget(self.run)

    def ending(self) -> Ending:
        """The job's last state. A job that ends by itself just before its limit was told to by Slurm."""
        if self._account is None:
            return Ending()
        account = self._account
        told = f"{self.name} ended as {account.state}, exit code {account.exit_code}"
        if account.state not in ("COMPLETED", "OUT_OF_MEMORY", "NODE_FAIL") and self._had_its_time(account):
            return Ending("time limit", told)
        if account.exit_code.partition(":")[0] == str(NO_RUN_FOLDER):
            return Ending("user error", f"{told}: a node does not see {self.run.path}")
        if not self.run.log.is_file():
            told += (
                f" and wrote no log; is {self.run.path} on storage that its nodes share with this machine?"
            )
            return Ending(_REASONS.get(account.state, "error"), told)
        return Ending(_REASONS.get(account.state), told)

    def _had_its_time(self, account: Account) -> bool:
        if not (account.limit.isdigit() and account.elapsed.isdigit()):
            return False
        return int(account.elapsed) >= int(account.limit) * 60 - self.notice - _SIGNAL_LEEWAY_SECONDS

    def _stopping(self) -> None:
        """Nobody shall go on with a job that is being cancelled."""
        self.record = replace(self.record, stopping=True)
        self.record.write(self.run)
        self.poll.hurry()

    def _ask(self) -> Phase:
        found = sacct(f"--jobs={self.record.job}")
        if not found:
            raise NoAnswer(f"sacct does not know {self.name} yet")
        self._account = found[-1]
        if self._account.state in _WAITING:
            return "waiting"
        return "ended" if self._account.state in _ENDED else "running"


def _find(record: LaunchRecord) -> LaunchRecord | None:
    """The record with the number of its job, or None where none was submitted under its name.

    Raises:
        UserError: Slurm does not answer, so that nobody knows.
    """
    try:
        found = [account.job for account in sacct(f"--name={record.name}", "--starttime=now-30days")]
        # Accounting lags behind the controller, which forgets what ended minutes ago.
        found = found or squeue(record.name)
    except NoAnswer as problem:
        raise UserError(f"{problem}; it is needed to see whether this run has a job already") from None
    return replace(record, job=found[-1]) if found else None
