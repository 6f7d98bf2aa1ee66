"""Runs several training jobs in the same ranks: starting Python and DeepSpeed takes longer than the jobs.

Started by torchrun with the run folders as arguments.
"""

import sys
from pathlib import Path

from unimol2_tasks.errors import UserError
from unimol2_tasks.training.engine import leave_distributed
from unimol2_tasks.training.finetune import finetune
from unimol2_tasks.training.job import Job, RunFolder, write_json
from unimol2_tasks.training.pretrain import pretrain


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
