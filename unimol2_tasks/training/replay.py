"""The batch at which training gave up, again, molecule by molecule.

The loop leaves three files in a run's folder `diverged/`: which molecules made up the batch, the weights
before the step, and the job. A molecule's sample depends on nothing but seed, epoch and index, so each is
made here as it was there. Dropout is off: it is drawn for whole batches.
"""

import math
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from unimol2_model import UniMol2ForPretraining, WeightsError, load_weights
from unimol2_model.weights import read_config
from unimol2_tasks import progress
from unimol2_tasks.datasets.collation import PretrainingSamples
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.order import Visit
from unimol2_tasks.errors import UserError
from unimol2_tasks.training.diverged import BATCH
from unimol2_tasks.training.job import Job
from unimol2_tasks.training.network import WEIGHTS
from unimol2_tasks.training.nonfinite import Examination, examine
from unimol2_tasks.training.pretrain import PretrainingObjective

JOB = "job.json"
Precision = Literal["fp32", "bf16", "fp16"]
Content = TypeVar("Content", bound=BaseModel)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class DivergedBatch(BaseModel):
    """The global batch of the step at which training gave up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    """Optimiser steps taken before it."""
    seed: int
    precision: Precision
    indices: tuple[int, ...]
    """Places in the dataset."""
    epochs: tuple[int, ...]
    """With the index and the seed, they determine each molecule's corruption."""
    ids: tuple[str, ...]
    """The molecules' names, by which another dataset is noticed."""

    @model_validator(mode="after")
    def _one_of_each_per_molecule(self) -> Self:
        if not len(self.indices) == len(self.epochs) == len(self.ids) >= 1:
            raise ValueError("indices, epochs and ids hold one value per molecule, and there is at least one")
        return self


@dataclass(frozen=True, slots=True)
class Diverged:
    """All that a replay needs, read and checked."""

    batch: DivergedBatch
    job: Job
    dataset: MoleculeDataset
    model: UniMol2ForPretraining
    """With the weights before the step, fp32."""

    @property
    def broken_weights(self) -> list[str]:
        """The weights that are not finite, by name."""
        return [name for name, weight in self.model.named_parameters() if not torch.isfinite(weight).all()]


@dataclass(frozen=True, slots=True)
class ReplayedMolecule:
    """One molecule of the batch, alone."""

    index: int
    id: str
    smiles: str
    atoms: int
    reach: float
    """The largest coordinate of the sample, Å from its centre; NaN where no sample could be made."""
    found: Examination | None
    """At the precision of the run; None where no sample could be made."""
    in_fp32: Examination | None
    """The same in fp32, where `found` is not finite."""
    refused: str = ""
    """Why no sample could be made."""

    @property
    def verdict(self) -> Literal["finite", "overflow", "not finite", "refused"]:
        """`overflow`: only at the precision of the run; `not finite`: in fp32 too."""
        if self.found is None:
            return "refused"
        if self.found.finite:
            return "finite"
        return "overflow" if self.in_fp32 is not None and self.in_fp32.finite else "not finite"


def read_diverged(folder: Path, dataset: Path | None = None) -> Diverged:
    """Read what the loop left.

    Args:
        folder: A run's `diverged/`.
        dataset: The dataset's folder; None: where it was when training began.

    Raises:
        UserError: A file is missing or damaged, it was no pretraining, or the dataset is another one.
    """
    batch, job = _read(folder / BATCH, DivergedBatch), _read(folder / JOB, Job)
    if job.kind != "pretrain":
        raise UserError(f"{folder}: replay is for pretraining; this was a {job.kind} job")
    if batch.seed != job.params.pretrain.seed:
        raise UserError(
            f"{folder}: {BATCH} is of seed {batch.seed}, {JOB} of seed {job.params.pretrain.seed}; "
            "they are of two runs"
        )
    place = dataset or job.dataset
    if not place.is_dir():
        raise UserError(f"{place}: the dataset of the run is not there; say where it is now with --dataset")
    molecules = open_dataset(place)
    _check_identity(batch, molecules, place)
    try:
        model = UniMol2ForPretraining(read_config(folder / WEIGHTS))
        load_weights(model, folder / WEIGHTS)
    except (WeightsError, FileNotFoundError) as error:
        raise UserError(str(error)) from None
    return Diverged(batch, job, molecules, model.eval())


def replay(diverged: Diverged, device: torch.device) -> list[ReplayedMolecule]:
    """Run every molecule of the batch alone, in the order of the batch."""
    params = diverged.job.params.pretrain
    fp32 = PretrainingObjective(diverged.model, params).to(device)
    narrow = fp32
    if diverged.batch.precision != "fp32":
        # As DeepSpeed does it: all weights are cast, and the network decides what it computes more precisely.
        copied = PretrainingObjective(deepcopy(diverged.model), params)
        narrow = copied.to(device, _DTYPES[diverged.batch.precision])
    alone = _Alone(diverged.dataset, PretrainingSamples(diverged.dataset, params), narrow, fp32, device)
    replayed = []
    for index, epoch in zip(diverged.batch.indices, diverged.batch.epochs, strict=True):
        replayed.append(alone.run(Visit(epoch, index)))
        progress.report("replay", len(replayed), len(diverged.batch.indices), replayed[-1].id)
    return replayed


@dataclass(frozen=True, slots=True)
class _Alone:
    """Runs single molecules."""

    dataset: MoleculeDataset
    samples: PretrainingSamples
    narrow: PretrainingObjective
    """At the precision of the run; the same object as `fp32` where that is it."""
    fp32: PretrainingObjective
    device: torch.device

    def run(self, visit: Visit) -> ReplayedMolecule:
        index = visit.index
        name, smiles = self.dataset.id(index), self.dataset.smiles(index)
        atoms = int(self.dataset.atoms[index])
        try:
            # Coordinates out of range are a finding here, and named as such in the report.
            with np.errstate(over="ignore", invalid="ignore"):
                batch = self.samples[[visit]]
        except ValueError as error:
            return ReplayedMolecule(index, name, smiles, atoms, math.nan, None, None, str(error))
        reach = float(batch.molecules.positions.abs().max())
        moved = batch.to(self.device)
        found = examine(self.narrow, moved)
        again = None
        if not found.finite:
            again = found if self.narrow is self.fp32 else examine(self.fp32, moved)
        return ReplayedMolecule(index, name, smiles, atoms, reach, found, again)


def _check_identity(batch: DivergedBatch, dataset: MoleculeDataset, place: Path) -> None:
    for index, name in zip(batch.indices, batch.ids, strict=True):
        if not 0 <= index < len(dataset):
            raise UserError(
                f"{place}: {BATCH} names molecule {index}, the dataset has {len(dataset)}; it is another one"
            )
        if dataset.id(index) != name:
            raise UserError(
                f"{place}: molecule {index} is {dataset.id(index)}, in {BATCH} {name}; "
                "it is not the dataset of this run; give that with --dataset"
            )


def _read(path: Path, kind: type[Content]) -> Content:
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give the folder diverged/ of a run that gave up") from None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
