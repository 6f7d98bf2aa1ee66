"""Network outputs for a folder of molecules, computed in a process of its own."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.params import Params
from unimol2_tasks.training.job import Job, RunFolder
from unimol2_tasks.training.predict import OUTPUTS
from unimol2_tasks.training.supervisor import supervise


def infer(job: Job, params: Params, folder: Path) -> NDArray[np.float64]:
    """Run an inference job in `folder` and return `[n, T]` in dataset order."""
    run = RunFolder(folder)
    supervise(job, run, ranks=1, threads=params.predict.threads)
    outputs: NDArray[np.float64] = np.load(run.result / OUTPUTS, allow_pickle=False)
    return outputs
