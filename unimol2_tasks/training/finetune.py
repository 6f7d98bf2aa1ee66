"""The fine-tuning job: objective, validation, and the predictor with the best validation loss."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from unimol2_model import UniMol2ForProperties
from unimol2_model.weights import write_weights
from unimol2_tasks.artifacts.manifest import MANIFEST, read_manifest
from unimol2_tasks.datasets.collation import LabelledBatch, LabelledSamples, buckets
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.order import Order
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.training.curve import Curve
from unimol2_tasks.training.engine import start_distributed, summed
from unimol2_tasks.training.inference import Share, predict_molecules
from unimol2_tasks.training.job import Job, RunFolder, write_json
from unimol2_tasks.training.loop import Loop, Plan
from unimol2_tasks.training.network import TARGETS, WEIGHTS, load_predictor, new_property_model, write_config
from unimol2_tasks.training.targets import Targets, choose_targets
from unimol2_tasks.training.trained import Trained, prepare_training

_REGRESSION_LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "smooth_l1": functional.smooth_l1_loss,
    "l1": functional.l1_loss,
    "mse": functional.mse_loss,
}


_VALIDATION_BATCH = 128


class PropertyObjective(torch.nn.Module):
    """Losses over known labels: on scaled values for regression, cross-entropy for classes.

    Each molecule's loss is the mean over its own known labels, and the batch's the mean over molecules:
    what a molecule contributes does not depend on which labels its neighbours have.
    """

    mean: torch.Tensor
    std: torch.Tensor
    binary: torch.Tensor

    def __init__(self, model: UniMol2ForProperties, targets: Targets, params: FinetuneParams) -> None:
        super().__init__()
        self.model = model
        self.regression_loss = _REGRESSION_LOSSES[params.regression_loss]
        for name in ("mean", "std", "binary"):
            self.register_buffer(name, torch.from_numpy(getattr(targets, name)), persistent=False)

    def forward(self, batch: LabelledBatch) -> dict[str, torch.Tensor]:
        """Mean loss over the molecules of the batch, as `loss`."""
        if batch.labels is None:
            raise ValueError("fine-tuning needs labels")
        return {"loss": self.losses(self.model(batch.molecules), batch.labels).mean()}

    def losses(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """`[B]` loss of each molecule, from outputs and labels `[B, T]`; 0 where nothing is known."""
        known = ~torch.isnan(labels)
        filled = torch.where(known, labels, torch.zeros_like(labels)).float()
        scaled = ((filled - self.mean) / self.std).float()
        each = torch.where(
            self.binary,
            functional.binary_cross_entropy_with_logits(
                outputs.float(), filled.clamp(0, 1), reduction="none"
            ),
            self.regression_loss(outputs.float(), scaled, reduction="none"),
        )
        return (each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def finetune(job: Job, run: RunFolder, stop_requested: Callable[[], bool]) -> None:
    """Run or resume a fine-tuning job and leave its predictor in `run.result`."""
    params = job.params.finetune
    device = start_distributed(params)
    dataset = open_dataset(job.dataset)
    labels = np.stack([dataset.labels(index) for index in range(len(dataset))])
    train, valid = dataset.indices("train"), dataset.indices("valid")
    if not len(train) or not len(valid):
        raise UserError(f"{job.dataset}: fine-tuning needs molecules in both splits, train and valid")
    targets, columns = choose_targets(labels, tuple(dataset.label_names), train, params, _preparation(job))
    network = new_property_model(job.params.model, job.model, len(columns), params.head_dropout, params.seed)
    objective = PropertyObjective(network, targets, params)
    judged = _Judged(dataset, valid, labels[valid][:, columns])
    steps_per_epoch = max(1, round(len(train) / params.batch_size))
    steps = params.epochs * steps_per_epoch
    trained = prepare_training(objective, params, device, round(params.warmup_ratio * steps), steps, run)

    def keep_best() -> None:
        weights = trained.weights()
        if torch.distributed.get_rank() == 0:
            write_weights(weights, objective.model.config, run.best)

    loop = Loop(
        trained=trained,
        samples=LabelledSamples(dataset, columns, params.seed, buckets(dataset) if params.compile else None),
        order=Order(train, params.seed, dataset.atoms),
        params=params,
        plan=Plan(steps, params.validate_every_epochs * steps_per_epoch, params.patience),
        validate=lambda _: _validate(trained, objective, judged, targets),
        on_best=keep_best,
        run=run,
        stop_requested=stop_requested,
    )
    curve = loop.train()
    if torch.distributed.get_rank() == 0:
        _write_result(run, objective, judged, targets, curve)


def _preparation(job: Job) -> PrepareParams:
    text = (job.dataset / MANIFEST).read_text(encoding="utf-8")
    made_with = read_manifest(text, str(job.dataset / MANIFEST)).params
    return PrepareParams.model_validate(
        {name: value for name, value in made_with.items() if name in PrepareParams.model_fields}
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """The molecules that validation looks at."""

    dataset: MoleculeDataset
    indices: NDArray[np.int64]
    labels: NDArray[np.float64]
    """`[n, T]` of the chosen targets."""


def _validate(
    trained: Trained, objective: PropertyObjective, valid: _Judged, targets: Targets
) -> dict[str, float]:
    share = Share(torch.distributed.get_rank(), torch.distributed.get_world_size())
    model: Any = trained.judged().model
    outputs = predict_molecules(model, valid.dataset, valid.indices, _VALIDATION_BATCH, trained.device, share)
    whole = summed(torch.from_numpy(outputs).to(trained.device)).cpu().numpy()
    return validation_metrics(objective, whole, valid.labels, targets)


def validation_metrics(
    objective: PropertyObjective,
    outputs: NDArray[np.float64],
    labels: NDArray[np.float64],
    targets: Targets,
) -> dict[str, float]:
    """Loss, and per regression target the mean absolute error in its own unit."""
    device = objective.mean.device
    losses = objective.losses(torch.from_numpy(outputs).to(device), torch.from_numpy(labels).to(device))
    metrics = {"valid/loss": float(losses.mean())}
    errors = np.abs(targets.to_natural(outputs) - labels)
    for k, target in enumerate(targets.targets):
        if target.kind == "regression" and not np.isnan(errors[:, k]).all():
            metrics[f"valid/mae/{target.name}"] = float(np.nanmean(errors[:, k]))
    return metrics


def _write_result(
    run: RunFolder, objective: PropertyObjective, valid: "_Judged", targets: Targets, curve: Curve
) -> None:
    """Save the best weights, and measure what was saved by loading it again."""
    with run.finishing() as folder:
        shutil.copyfile(run.best, folder / WEIGHTS)
        write_config(folder, objective.model.config)
        (folder / TARGETS).write_text(targets.model_dump_json(indent=1) + "\n", encoding="utf-8")
        curve.write(folder / "curve.csv")
        reloaded, _ = load_predictor(folder)
        reloaded.to(objective.mean.device)
        outputs = predict_molecules(
            reloaded, valid.dataset, valid.indices, _VALIDATION_BATCH, objective.mean.device
        )
        metrics = validation_metrics(objective, outputs, valid.labels, targets)
        write_json(folder / "metrics.json", metrics)
