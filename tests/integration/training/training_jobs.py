"""Runs several training jobs in the same ranks: starting Python and DeepSpeed takes longer than the jobs.

Started by torchrun with the run folders as arguments.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from unimol2_tasks.errors import UserError
from unimol2_tasks.training.engine import leave_distributed
from unimol2_tasks.training.finetune import finetune
from unimol2_tasks.training.job import Job, RunFolder, write_json
from unimol2_tasks.training.pretrain import pretrain


def in_ranks(ranks: int, runs: Sequence[RunFolder]) -> subprocess.CompletedProcess[str]:
    """Run these jobs one after the other in new ranks; what became of each lies in its folder."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    return subprocess.run(
        [*torchrun, __file__, *(str(run.path) for run in runs)],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run_job(run: RunFolder) -> None:
    job = Job.model_validate_json(run.job.read_text(encoding="utf-8"))
    train = pretrain if job.kind == "pretrain" else finetune
    try:
        train(job, run, lambda: False)
    except UserError as error:
        write_json(run.failure, {"message": str(error)})


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        run_job(RunFolder(Path(folder)))
    leave_distributed()
