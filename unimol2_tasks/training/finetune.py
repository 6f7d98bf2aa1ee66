"""The fine-tuning job: objective, validation, and the predictor that does best on validation."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_model import UniMol2ForProperties
from unimol2_model.weights import write_weights
from unimol2_tasks.artifacts.manifest import MANIFEST, read_manifest
from unimol2_tasks.chemistry.applicability import TRAINING
from unimol2_tasks.datasets.collation import LabelledBatch, LabelledSamples, buckets
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.order import Order
from unimol2_tasks.datasets.parts import Parts, parts_of
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.params.prepare import SPLIT_SETTINGS
from unimol2_tasks.training.curve import Curve
from unimol2_tasks.training.engine import frozen_weights, start_distributed
from unimol2_tasks.training.heartbeat import measuring
from unimol2_tasks.training.job import Job, RunFolder, write_json
from unimol2_tasks.training.layer_groups import layer_groups
from unimol2_tasks.training.loop import Loop, Plan
from unimol2_tasks.training.losses import PropertyLoss
from unimol2_tasks.training.network import (
    TARGETS,
    WEIGHTS,
    load_on_all_ranks,
    new_property_model,
    write_config,
)
from unimol2_tasks.training.predictor_files import (
    OUT_OF_FOLD,
    VALIDATION,
    write_predictions,
    write_training_molecules,
)
from unimol2_tasks.training.target_choice import Labels, choose_targets
from unimol2_tasks.training.targets import Targets
from unimol2_tasks.training.trained import prepare_training
from unimol2_tasks.training.validation import Judged, PropertyValidation, validation_metrics


class PropertyObjective(torch.nn.Module):
    """A network and what it is trained with: the mean loss over the molecules of a batch."""

    def __init__(self, model: UniMol2ForProperties, targets: Targets, params: FinetuneParams) -> None:
        super().__init__()
        self.model = model
        self.losses = PropertyLoss(targets, params)

    def forward(self, batch: LabelledBatch) -> dict[str, torch.Tensor]:
        """Mean loss over the molecules of the batch, as `loss`."""
        if batch.labels is None:
            raise ValueError("fine-tuning needs labels")
        return {"loss": self.losses(self.model(batch.molecules), batch.labels).mean()}


@dataclass(frozen=True, slots=True)
class _Task:
    """What is learnt, and from which molecules."""

    dataset: MoleculeDataset
    targets: Targets
    places: NDArray[np.int64]
    """`[T]` of the targets among the dataset's labels."""
    labels: NDArray[np.float64]
    """`[n, T]` of the whole dataset."""
    parts: Parts
    """Those that have any of the labels."""

    @classmethod
    def of(cls, job: Job) -> "_Task":
        params, dataset = job.params.finetune, open_dataset(job.dataset)
        values = np.stack([dataset.labels(index) for index in range(len(dataset))])
        labels = Labels(tuple(dataset.label_names), values, lambda k: _named(dataset, k))
        parts = parts_of(dataset, params.fold)
        if not len(parts.train) or not len(parts.valid):
            raise UserError(f"{job.dataset}: fine-tuning needs molecules in both splits, train and valid")
        targets, places = choose_targets(
            labels, parts.train, params, _preparation(job), int(dataset.conformers[parts.train].max())
        )
        wanted = values[:, places]
        labelled = parts.among(np.asarray(~np.isnan(wanted).all(axis=1)))
        judging = {"valid": labelled.valid} | ({} if params.fold is None else {"test": labelled.test})
        for name, indices in judging.items():
            if not len(indices):
                raise UserError(
                    f"{job.dataset}: no molecule of {name} has a value of {', '.join(targets.names)}, and "
                    "there is nothing to judge by; split it in another way"
                )
        return cls(dataset, targets, places, wanted, labelled)

    def judged(self, indices: NDArray[np.int64]) -> Judged:
        """These molecules, to judge a network on."""
        return Judged(self.dataset, indices, self.labels[indices], self.targets.view)


_Measured = Mapping[str, tuple[Judged, NDArray[np.float64]]]
"""By the table that they are written to, molecules and the outputs `[n, C]` for them."""


def finetune(job: Job, run: RunFolder, stop_requested: Callable[[], bool]) -> None:
    """Run or resume a fine-tuning job and leave its predictor in `run.result`."""
    params = job.params.finetune
    device = start_distributed(params)
    task = _Task.of(job)
    network = new_property_model(job.params.model, job.model, task.targets, params.head_dropout, params.seed)
    if params.freeze_backbone:
        network.freeze_backbone()
    objective = PropertyObjective(network, task.targets, params)
    judged = task.judged(task.parts.valid)
    steps_per_epoch = len(task.parts.train) / params.batch_size
    plan = plan_of(params, steps_per_epoch)
    groups = layer_groups(network, params, steps_per_epoch)
    plan = replace(plan, patience_from=max(group.start for group in groups if group.start < plan.steps))
    warmup = round(params.warmup_ratio * plan.steps)
    first = torch.distributed.get_rank() == 0
    exact = frozen_weights(network) if first and params.precision != "fp32" else {}
    trained = prepare_training(objective, params, device, warmup, plan.steps, run, groups)

    def keep_best() -> None:
        weights = trained.weights()
        if first:
            write_weights(weights | exact, objective.model.config, run.best)

    padding = buckets(task.dataset) if params.compile else None
    loop = Loop(
        trained=trained,
        samples=LabelledSamples(task.dataset, task.places, params.seed, padding, task.targets.view),
        order=Order(task.parts.train, params.seed, task.dataset.atoms),
        params=params,
        plan=plan,
        validate=PropertyValidation(trained, judged, task.targets, objective.losses, run),
        on_best=keep_best,
        run=run,
        stop_requested=stop_requested,
    )
    curve = loop.train()
    network = load_on_all_ranks(run.best, objective.model.config, task.targets, device)
    measured = _measured(run, task, params.fold, network, device)
    if first:
        _write_result(run, task, objective, curve, measured)


def plan_of(params: FinetuneParams, steps_per_epoch: float) -> Plan:
    """How long to train and how often to look, in whole steps.

    Args:
        params: Epochs in all, and between validations.
        steps_per_epoch: Training molecules by molecules per step; below 1 where a step sees some twice.
    """
    # Rounded last: what an epoch's steps were rounded by would count once per epoch.
    return Plan(
        steps=max(1, round(params.epochs * steps_per_epoch)),
        validate_every=max(1, round(params.validate_every_epochs * steps_per_epoch)),
        patience=params.patience,
        best_by=params.best_by,
    )


def _preparation(job: Job) -> PrepareParams:
    """How the molecules were made; of their splits, that of a file or column is no setting for others."""
    text = (job.dataset / MANIFEST).read_text(encoding="utf-8")
    made_with = read_manifest(text, str(job.dataset / MANIFEST)).params
    of_molecules = PrepareParams.model_fields.keys() - SPLIT_SETTINGS
    return PrepareParams.model_validate({name: made_with[name] for name in of_molecules & made_with.keys()})


def _named(dataset: MoleculeDataset, index: int) -> str:
    """A molecule as its owner knows it."""
    record = dataset.record(index)
    return f"row {record.row} ({record.id})" if record.id != str(record.row) else f"row {record.row}"


def _measured(
    run: RunFolder, task: _Task, fold: int | None, network: UniMol2ForProperties, device: torch.device
) -> _Measured:
    """What the saved network says of the molecules it was chosen by and, with a fold, of those it tests.

    Every rank must call it and gets the same.
    """
    parts = {VALIDATION: task.judged(task.parts.valid)}
    if fold is not None:
        parts[OUT_OF_FOLD] = task.judged(task.parts.test)
    return {
        name: (judged, judged.shared_outputs(network, device, measuring(run, judged.geometries)))
        for name, judged in parts.items()
    }


def _write_result(
    run: RunFolder, task: _Task, objective: PropertyObjective, curve: Curve, measured: _Measured
) -> None:
    """Save the best weights, and what was measured of them."""
    targets = task.targets
    with run.finishing() as folder:
        shutil.copyfile(run.best, folder / WEIGHTS)
        shutil.copyfile(run.deepspeed, folder / run.deepspeed.name)
        write_config(folder, objective.model.config)
        (folder / TARGETS).write_text(targets.model_dump_json(indent=1) + "\n", encoding="utf-8")
        curve.write(folder / "curve.csv")
        write_training_molecules(folder / TRAINING, task.dataset, task.parts.train)
        for name, (judged, outputs) in measured.items():
            ids = [task.dataset.id(index) for index in judged.indices]
            write_predictions(folder / name, ids, judged.labels, targets.to_natural(outputs), targets)
        judged, outputs = measured[VALIDATION]
        metrics = validation_metrics(outputs, judged.labels, targets, objective.losses)
        write_json(folder / "metrics.json", metrics)
