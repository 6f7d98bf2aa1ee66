"""The training steps of a job and nothing else: `python -m benchmarks.comparison.bare_step RUN_FOLDER`.

Plain PyTorch: forward, backward, clipping and AdamW on batches that were made before the clock starts; no
DeepSpeed, no loader, no log, no checkpoint. The steps, batches, weights and optimiser are those that the job
in the folder has; `bare.json` there gets the molecules per second.
"""

import sys
import time
from pathlib import Path

import torch

from unimol2_tasks.datasets.collation import LabelledBatch, PretrainingSamples
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.datasets.order import Order, micro_batches
from unimol2_tasks.params import PretrainParams
from unimol2_tasks.training.job import Job, RunFolder, write_json
from unimol2_tasks.training.network import new_pretraining_model
from unimol2_tasks.training.pretrain import PretrainingObjective

RESULT = "bare.json"


def main(run: RunFolder) -> None:
    """Time the steps of the run's job."""
    job = Job.model_validate_json(run.job.read_text(encoding="utf-8"))
    params = job.params.pretrain
    batches = made(job)
    objective = PretrainingObjective(new_pretraining_model(job.params.model, params.seed), params).train()
    start = time.perf_counter()
    train(objective, batches, params)
    seconds = time.perf_counter() - start
    write_json(run.path / RESULT, {"molecules_per_second": params.steps * params.batch_size / seconds})


def made(job: Job) -> list[LabelledBatch]:
    """The micro-batches of all steps, as a single rank sees them."""
    params = job.params.pretrain
    dataset = open_dataset(job.dataset)
    order = Order(dataset.indices("train"), params.seed, dataset.atoms)
    plan = micro_batches(order, 0, params.steps, params.batch_size, params.micro_batch, 0, 1)
    samples = PretrainingSamples(dataset, params)
    return [samples[visits] for visits in plan]


def train(objective: torch.nn.Module, batches: list[LabelledBatch], params: PretrainParams) -> None:
    """Take an optimiser step per `params.accumulation` batches."""
    optimizer = torch.optim.AdamW(
        objective.parameters(),
        lr=params.learning_rate,
        betas=params.betas,
        eps=params.eps,
        weight_decay=params.weight_decay,
        fused=True,
    )
    for number, batch in enumerate(batches, start=1):
        (objective(batch)["loss"] / params.accumulation).backward()
        if number % params.accumulation == 0:
            torch.nn.utils.clip_grad_norm_(objective.parameters(), params.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


if __name__ == "__main__":
    main(RunFolder(Path(sys.argv[1])))
