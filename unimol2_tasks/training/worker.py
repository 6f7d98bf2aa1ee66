"""The process that trains or predicts: `python -m unimol2_tasks.training.worker RUN_FOLDER PARENT`.

Started by the supervisor, one per rank. Says what it knows about a failure in the run folder; the
supervisor believes that file and the result, never an exit code.
"""

import faulthandler
import logging
import signal
import sys
import traceback
from pathlib import Path

from unimol2_tasks.errors import TrainingDiverged, UserError
from unimol2_tasks.process_tree import die_with_parent
from unimol2_tasks.training.job import Job, RunFolder, Stopped, write_json


class StopRequest:
    """Remembers that SIGTERM arrived, until the loop reaches a safe place."""

    def __init__(self) -> None:
        self.received = False
        signal.signal(signal.SIGTERM, self._receive)

    def __call__(self) -> bool:
        """Whether somebody asked this process to stop."""
        return self.received

    def _receive(self, *_: object) -> None:
        self.received = True


def main(folder: Path, parent: int) -> int:
    """Run the job of a run folder as a child of process `parent`; returns the exit code."""
    die_with_parent(parent)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = StopRequest()
    run = RunFolder(folder)
    try:
        _run(Job.model_validate_json(run.job.read_text(encoding="utf-8")), run, stop)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the supervisor has to learn of it
        traceback.print_exc()
        _explain(run, error)
        return 1
    return 0


def _run(job: Job, run: RunFolder, stop: StopRequest) -> None:
    from unimol2_tasks.training.engine import leave_distributed

    try:
        _run_kind(job, run, stop)
    except Stopped as stopped:
        # Said first: what happens to some while all leave is not the reason.
        _explain(run, stopped)
        # Not a failure of one rank: all of them stop together.
        leave_distributed()
        raise
    leave_distributed()


def _run_kind(job: Job, run: RunFolder, stop: StopRequest) -> None:
    if job.kind == "pretrain":
        from unimol2_tasks.training.pretrain import pretrain

        pretrain(job, run, stop)
    elif job.kind == "finetune":
        from unimol2_tasks.training.finetune import finetune

        finetune(job, run, stop)
    else:
        from unimol2_tasks.training.inference_job import predict

        predict(job, run, stop)


def _explain(run: RunFolder, error: BaseException) -> None:
    """Leave the first failure of all ranks: later ones are mostly its consequences."""
    if not run.failure.exists():
        message = f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error)
        write_json(run.failure, {"reason": _reason(error), "message": message})


def _reason(error: BaseException) -> str:
    import torch

    from unimol2_model import WeightsError

    if isinstance(error, TrainingDiverged):
        return "diverged"
    if isinstance(error, UserError | WeightsError):
        return "user error"
    if isinstance(error, Stopped | KeyboardInterrupt):
        return "stopped"
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "out of memory"
    if isinstance(error, torch.distributed.DistError | ConnectionError) or _is_of_gloo(error):
        return "communication"
    return "error"


def _is_of_gloo(error: BaseException) -> bool:
    """Gloo has no exception of its own: a lost peer is a RuntimeError that names gloo's source files."""
    return isinstance(error, RuntimeError) and "gloo" in str(error)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
