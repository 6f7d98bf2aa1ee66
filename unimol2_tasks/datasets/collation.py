"""From stored molecules to padded batches, in training order."""

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_model.batch import MoleculeBatch
from unimol2_tasks.datasets.corruption import corrupt
from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.datasets.order import Visit
from unimol2_tasks.datasets.views import WHOLE, View
from unimol2_tasks.params import PretrainParams
from unimol2_tasks.process_tree import die_with_parent

_BUCKET = 16
_PREFETCH = 4
"""Batches that each worker makes ahead."""


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """Molecules with what is known of them."""

    molecules: MoleculeBatch
    labels: torch.Tensor | None
    """`[B, T]` float64 in the label's own unit, NaN where unknown; None in pretraining."""

    def to(self, device: torch.device) -> "LabelledBatch":
        """The same batch on another device."""
        labels = None if self.labels is None else self.labels.to(device)
        return LabelledBatch(self.molecules.to(device), labels)


def buckets(dataset: MoleculeDataset) -> list[int]:
    """Numbers of atoms to pad to where a compiled network must see few shapes."""
    return list(range(_BUCKET, int(dataset.atoms.max()) + _BUCKET, _BUCKET))


class PretrainingSamples(torch.utils.data.Dataset[LabelledBatch]):
    """Corrupted batches: an item is made from a list of visits, not from a single index."""

    def __init__(self, dataset: MoleculeDataset, params: PretrainParams) -> None:
        self.dataset = dataset
        self.params = params
        self._buckets = buckets(dataset) if params.compile else None

    def __getitem__(self, visits: list[Visit]) -> LabelledBatch:
        """The padded batch of these visits."""
        records = [self.dataset.record(visit.index) for visit in visits]
        samples = corrupt(records, self.params, visits)
        return LabelledBatch(MoleculeBatch.collate(samples, buckets=self._buckets), None)


class LabelledSamples(torch.utils.data.Dataset[LabelledBatch]):
    """Clean labelled batches; each visit draws one of the molecule's geometries.

    Attributes:
        targets: `[T]` positions of the wanted labels among the dataset's.
        seed: Seeds the choice of geometries.
        buckets: Numbers of atoms to pad to; None: the largest molecule of each batch.
        view: What is seen of a molecule.
    """

    def __init__(
        self,
        dataset: MoleculeDataset,
        targets: NDArray[np.int64],
        seed: int,
        buckets: Sequence[int] | None = None,
        view: View = WHOLE,
    ) -> None:
        self.dataset = dataset
        self.targets = targets
        self.seed = seed
        self.buckets = buckets
        self.view = view

    def __getitem__(self, visits: list[Visit]) -> LabelledBatch:
        """The padded batch of these visits."""
        records = [self.dataset.record(visit.index) for visit in visits]
        molecules = [
            self.view.molecule(record, _drawn(self.seed, visit, self.view.geometries(record.conformers)))
            for record, visit in zip(records, visits, strict=True)
        ]
        labels = np.stack([self.dataset.labels(visit.index)[self.targets] for visit in visits])
        batch = MoleculeBatch.collate(molecules, buckets=self.buckets)
        return LabelledBatch(batch, torch.from_numpy(labels.astype(np.float64)))


def loader(
    samples: torch.utils.data.Dataset[LabelledBatch], plan: Iterable[list[Visit]], workers: int = 0
) -> Iterator[LabelledBatch]:
    """The batches of `plan`, one after the other; the same whatever the number of workers.

    Args:
        samples: Makes a batch from visits.
        plan: The visits of every batch; read as batches are needed, and a little ahead.
        workers: Processes that make batches ahead; 0: none, each batch is made when it is asked for. They
            live until the plan ends, the iterator is closed or this process ends, however that happens.
    """
    return iter(
        torch.utils.data.DataLoader(
            samples,
            sampler=plan,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=_PREFETCH if workers else None,
            collate_fn=_unchanged,
            worker_init_fn=partial(_start_worker, os.getpid()),
        )
    )


def _start_worker(parent: int, number: int) -> None:
    die_with_parent(parent)
    # Schedulers send SIGTERM to every process of a job, and training finishes its step and its checkpoint
    # then: it decides when it needs no more batches.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _unchanged(batch: Any) -> Any:
    return batch


def _drawn(seed: int, visit: Visit, geometries: int) -> int:
    if geometries == 1:
        return 0
    return int(np.random.default_rng([seed, visit.epoch, visit.index]).integers(geometries))
