"""The pretraining job: objective, validation and the finished model."""

import shutil
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_model import UniMol2ForPretraining
from unimol2_model.pretraining import masked_accuracy, pretraining_loss
from unimol2_model.weights import write_weights
from unimol2_tasks.chemistry.scaffolds import molecule_probabilities
from unimol2_tasks.datasets.collation import LabelledBatch, PretrainingSamples
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.order import Order, Visit
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import PretrainParams
from unimol2_tasks.training.curve import Curve
from unimol2_tasks.training.engine import start_distributed, summed
from unimol2_tasks.training.floors import element_counts, loss_floors
from unimol2_tasks.training.heartbeat import measuring
from unimol2_tasks.training.job import Job, RunFolder, write_json
from unimol2_tasks.training.loop import Loop, Plan
from unimol2_tasks.training.network import WEIGHTS, new_pretraining_model, write_config
from unimol2_tasks.training.trained import Trained, prepare_training

# Validation samples are corrupted as in an epoch that training never reaches, the same every time.
_VALIDATION_EPOCH = 2**31


class PretrainingObjective(torch.nn.Module):
    """Masked-atom cross-entropy + coordinate L1 + pair-distance L1 (Uni-Mol2, section 3.3)."""

    def __init__(self, model: UniMol2ForPretraining, params: PretrainParams) -> None:
        super().__init__()
        self.model = model
        self.weights = (params.atom_weight, params.coordinate_weight, params.distance_weight)

    def forward(self, batch: LabelledBatch) -> dict[str, torch.Tensor]:
        """Means over the molecules of the batch.

        `loss` is the weighted sum of `atom_type` (nats), `coordinate` and `distance` (Å); `accuracy` is the
        share of a molecule's masked atoms whose element was found.
        """
        output = self.model(batch.molecules)
        losses = pretraining_loss(output, batch.molecules)
        parts = (losses.atom_type, losses.coordinate, losses.distance)
        total = sum(
            (w * part for w, part in zip(self.weights, parts, strict=True)), torch.zeros_like(parts[0])
        )
        accuracy = masked_accuracy(output, batch.molecules)
        names = ("loss", "atom_type", "coordinate", "distance", "accuracy")
        return dict(zip(names, (total, *parts, accuracy), strict=True))


def pretrain(job: Job, run: RunFolder, stop_requested: Callable[[], bool]) -> None:
    """Run or resume a pretraining job and leave its result in `run.result`."""
    params = job.params.pretrain
    device = start_distributed(params)
    dataset = open_dataset(job.dataset)
    train, valid = dataset.indices("train"), dataset.indices("valid")[: params.validation_molecules]
    if not len(train):
        raise UserError(f"{job.dataset}: the train split is empty; prepare more molecules")
    model = new_pretraining_model(job.params.model, params.seed, job.model)
    objective = PretrainingObjective(model, params)
    trained = prepare_training(objective, params, device, params.warmup_steps, params.steps, run)
    samples = PretrainingSamples(dataset, params)
    batches = _validation_batches(valid, params)
    loop = Loop(
        trained=trained,
        samples=samples,
        order=_order(dataset, train, params),
        params=params,
        plan=Plan(params.steps, params.validate_every),
        validate=(lambda stop: _validate(trained, samples, batches, run, stop)) if len(valid) else None,
        on_best=lambda: None,
        run=run,
        stop_requested=stop_requested,
    )
    curve = loop.train()
    weights = trained.weights()
    if torch.distributed.get_rank() == 0:
        counts = element_counts(dataset, train)
        floors = loss_floors(samples, batches, counts) if len(valid) else {}
        _write_result(run, objective.model, weights, curve, {"molecules": len(train), **floors})


def _order(dataset: MoleculeDataset, train: NDArray[np.int64], params: PretrainParams) -> Order:
    temperature = params.scaffold_temperature
    probabilities = (
        None if temperature is None else molecule_probabilities(dataset.scaffold_codes[train], temperature)
    )
    return Order(train, params.seed, dataset.atoms, probabilities)


def _validation_batches(valid: NDArray[np.int64], params: PretrainParams) -> list[list[Visit]]:
    """The fixed validation samples, cut into batches."""
    size = params.micro_batch
    visits = [Visit(_VALIDATION_EPOCH, int(index)) for index in valid]
    return [visits[start : start + size] for start in range(0, len(visits), size)]


def _validate(
    trained: Trained,
    samples: PretrainingSamples,
    batches: list[list[Visit]],
    run: RunFolder,
    stop: Callable[[], bool],
) -> dict[str, float] | None:
    """Mean losses over the fixed validation molecules, shared out over the ranks; None if stopped."""
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    network = trained.judged()
    names: list[str] = []
    total = torch.zeros(0, dtype=torch.float64)
    molecules = sum(len(visits) for visits in batches)
    tell, done = measuring(run, molecules), 0
    for turn in range(-(-len(batches) // ranks)):
        if stop():
            return None
        number = turn * ranks + rank
        # Every rank runs as many passes as the others (ZeRO-3 gathers weights in each); fillers count 0.
        visits = batches[min(number, len(batches) - 1)]
        with torch.no_grad():
            losses = network(samples[visits].to(trained.device))
        names = list(losses)
        values = torch.stack([value.double() for value in losses.values()])
        weighted = values * (len(visits) if number < len(batches) else 0)
        total = weighted if not len(total) else total + weighted
        done += len(visits)
        tell(done)
    means = summed(total) / molecules
    return {f"valid/{name}": float(value) for name, value in zip(names, means, strict=True)}


def _write_result(
    run: RunFolder,
    model: UniMol2ForPretraining,
    weights: dict[str, torch.Tensor],
    curve: Curve,
    facts: dict[str, float],
) -> None:
    metrics = {name: value for name, value in curve.rows[-1].items() if name != "step"}
    metrics |= {
        "train/loss_first": curve.series("train/loss")[0][1],
        "parameters": sum(weight.numel() for weight in weights.values()),
        **facts,
    }
    with run.finishing() as folder:
        write_weights(weights, model.config, folder / WEIGHTS)
        write_config(folder, model.config)
        shutil.copyfile(run.deepspeed, folder / run.deepspeed.name)
        curve.write(folder / "curve.csv")
        write_json(folder / "metrics.json", metrics)
