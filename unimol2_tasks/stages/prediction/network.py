"""What a network says of a folder of molecules, computed in a process of its own."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.datasets.molecule_files import molecule_files
from unimol2_tasks.params import Params
from unimol2_tasks.training.inference_job import VALUES, values_file
from unimol2_tasks.training.job import Job, RunFolder
from unimol2_tasks.training.supervisor import supervise


def infer(job: Job, params: Params, folder: Path) -> NDArray[np.float64]:
    """Run an inference job in `folder` and return all its values at once.

    Args:
        job: Its `dataset` is a dataset, or any folder with molecules in the files of one.
        params: `predict` counts.
        folder: Of the run; one that was interrupted is continued.

    Returns:
        `[n, M, C]` of a predictor with M members, in label units and probabilities, or `[n, 1, D]` of
        representations; in the order of the molecules.

    Raises:
        UserError: The job refused its inputs or parameters.
        TrainingFailed: It ended without a result.
    """
    infer_files(job, params, folder)
    return np.concatenate([np.load(values_path(folder, file.stem)) for file in molecule_files(job.dataset)])


def infer_files(job: Job, params: Params, folder: Path) -> None:
    """The same, but the values stay in a file for each file of molecules; see `values_path`.

    Raises:
        UserError: As `infer`.
        TrainingFailed: As `infer`.
    """
    supervise(job, RunFolder(folder), ranks=1, threads=params.predict.threads)


def values_path(folder: Path, stem: str) -> Path:
    """Where a run in `folder` leaves the values of the file of molecules `STEM.parquet`."""
    return folder / VALUES / values_file(stem)
