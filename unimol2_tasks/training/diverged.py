"""What is kept of a run that diverged: its weights and the batch that broke it, for `unimol2 replay`."""

import shutil
from collections.abc import Sequence
from typing import Any

import torch.distributed as dist

from unimol2_model.weights import write_weights
from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.datasets.order import Visit
from unimol2_tasks.training.engine import full_weights
from unimol2_tasks.training.job import Job, RunFolder, write_json
from unimol2_tasks.training.network import WEIGHTS

BATCH = "batch.json"


def keep_for_replay(
    run: RunFolder, engine: Any, dataset: MoleculeDataset, visits: Sequence[Visit], step: int
) -> None:
    """Write `run.diverged`; every rank must call it.

    Args:
        run: Where.
        engine: Its module has the network as `model`, with the weights that the skipped steps left alone.
        dataset: Where the molecules are.
        visits: The global batch of the last skipped step.
        step: Steps taken before it.
    """
    network = engine.module.model
    weights = full_weights(engine, network)
    if dist.get_rank() == 0:
        shutil.rmtree(run.diverged, ignore_errors=True)
        run.diverged.mkdir()
        write_weights(weights, network.config, run.diverged / WEIGHTS)
        shutil.copyfile(run.job, run.diverged / run.job.name)
        training = Job.model_validate_json(run.job.read_text(encoding="utf-8")).training
        batch = {
            "step": step,
            "seed": training.seed,
            "precision": training.precision,
            "indices": [visit.index for visit in visits],
            "epochs": [visit.epoch for visit in visits],
            "ids": [dataset.id(visit.index) for visit in visits],
        }
        write_json(run.diverged / BATCH, batch)
    # A rank that gives up while this is being written would end the others.
    dist.barrier()
