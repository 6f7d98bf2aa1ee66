"""The inference job: outputs or embeddings of every molecule of a dataset."""

import os
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_model.batch import MoleculeBatch
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.training.inference import Network, predict_molecules
from unimol2_tasks.training.job import Job, RunFolder, Stopped, write_json
from unimol2_tasks.training.network import load_predictor, load_pretrained

OUTPUTS = "outputs.npy"


def predict(job: Job, run: RunFolder, stop_requested: Callable[[], bool]) -> None:
    """Write `[n, T]` predictions in label units, or `[n, D]` embeddings, in dataset order."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(job.params.predict.threads or len(os.sched_getaffinity(0)))
    network, finish = _network(job, device)
    dataset = open_dataset(job.dataset)
    conformers = int(dataset.conformers.sum())

    def progress(done: int) -> None:
        write_json(run.heartbeat, {"step": done, "steps": conformers, "detail": ""})
        if stop_requested():
            raise Stopped

    with torch.inference_mode():
        outputs = predict_molecules(
            network,
            dataset,
            np.arange(len(dataset)),
            job.params.predict.batch_size,
            device,
            progress=progress,
        )
    with run.finishing() as folder:
        np.save(folder / OUTPUTS, finish(outputs), allow_pickle=False)


def _network(
    job: Job, device: torch.device
) -> tuple[Network, Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """The network, and what turns its averaged outputs into the wanted values."""
    if job.model is None:
        raise UserError("prediction needs a predictor or model")
    if job.kind == "predict":
        predictor, targets = load_predictor(job.model)
        return predictor.to(device), targets.to_natural
    backbone = load_pretrained(job.model).backbone.to(device)

    def embed(batch: MoleculeBatch) -> torch.Tensor:
        """The molecule token of the last block."""
        molecules: torch.Tensor = backbone.embed(batch)
        return molecules

    return embed, lambda outputs: outputs
