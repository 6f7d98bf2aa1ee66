"""The inference job: for each file of molecules of a folder a file of what the network says of them.

A job that is started again goes on with the files that have no values yet; in memory is one piece of a file.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.datasets.molecule_files import count_molecules, molecule_files, read_molecules
from unimol2_tasks.errors import UserError
from unimol2_tasks.training.job import Job, RunFolder, Stopped, write_json
from unimol2_tasks.training.memory_inference import Scoring, scoring

VALUES = "values"
"""Folder of a run with `STEM.npy` for each `STEM.parquet` of molecules; see `training.memory_inference`."""


def predict(job: Job, run: RunFolder, stop_requested: Callable[[], bool]) -> None:
    """Write the values of every molecule of the job's folder, file by file, in the files' order."""
    if job.model is None:
        raise UserError("prediction needs a predictor or model")
    torch.set_num_threads(job.params.predict.threads or len(os.sched_getaffinity(0)))
    network = scoring(job.kind, job.model, job.params.predict.batch_size)
    values = Workspace(str(run.path / VALUES), Store())
    finished = values.finished()
    files = molecule_files(job.dataset)
    rows = [count_molecules(file) for file in files]
    done, total = 0, sum(rows)

    def progress(rows: float) -> None:
        # The exact number too: a heavy row takes many passes, each of which is a sign of life.
        beat = {"step": int(done + rows), "steps": total, "detail": "", "rows": done + rows}
        write_json(run.heartbeat, beat)
        if stop_requested():
            raise Stopped

    for file, count in zip(files, rows, strict=True):
        name = values_file(file.stem)
        if name not in finished:
            found = _values(network, file, progress)
            with values.new(name) as path:
                np.save(path, found, allow_pickle=False)
        done += count
        progress(0)
    with run.finishing():
        pass


def values_file(stem: str) -> str:
    """The file in `VALUES` for a file of molecules."""
    return f"{stem}.npy"


def _values(network: Scoring, file: Path, progress: Callable[[float], None]) -> NDArray[np.floating]:
    pieces: list[NDArray[np.floating]] = []
    before = 0
    for molecules in read_molecules(file):
        pieces.append(network(molecules, partial(_tell, progress, before, len(molecules))))
        before += len(molecules)
    return np.concatenate(pieces)


def _tell(progress: Callable[[float], None], before: int, rows: int, share: float) -> None:
    progress(before + share * rows)
