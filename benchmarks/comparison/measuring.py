"""What is measured on one side of a comparison: the same code for this network and for a peer.

It runs in the peer's environment too, so it needs torch and nothing of this project.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from benchmarks.comparison.memory import forget_peak, mib_held, peak_mib

Measure = Literal["inference", "training", "collation", "memory", "representation"]

Clock = Literal["wall", "cpu"]
CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}

Input = TypeVar("Input")
Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to measure."""

    measure: Measure
    molecules: str
    """The name of a set of molecules."""
    batch: int | None = None
    """Molecules per batch, in the order of the set; None: all in one."""
    pairs: int | None = None
    """Or the most padded pairs per batch, molecules sorted by size."""
    warm_up: bool = False
    """Take the first batch only."""


class Network(ABC, Generic[Input, Batch]):
    """A network with one output per molecule, and how its users feed it.

    Args:
        model: in the precision to measure.
        sets: molecules as `collate` takes them.

    Attributes:
        clock: what seconds are counted by.
    """

    def __init__(self, model: nn.Module, sets: Mapping[str, Sequence[Input]]) -> None:
        self.model = model
        self.sets = sets
        self.clock = CLOCKS["wall"]

    @abstractmethod
    def collate(self, molecules: Sequence[Input]) -> Batch:
        """Make one batch."""

    @abstractmethod
    def predict(self, batch: Batch) -> Tensor:
        """Return [B, 1]."""

    @abstractmethod
    def represent(self, batch: Batch) -> Tensor:
        """Return the molecule tokens [B, D]."""

    def deal(self, job: Job) -> list[list[Input]]:
        """Deal a job's molecules out to batches."""
        molecules = self.sets[job.molecules]
        size = job.batch or len(molecules)
        return [list(molecules[start : start + size]) for start in range(0, len(molecules), size)]

    def measure(self, job: Job) -> list[float]:
        """Return seconds; of "memory" see `training_memory`; of "representation" the first molecule's."""
        batches = self.deal(job)[: 1 if job.warm_up else None]
        match job.measure:
            case "inference":
                return [self.inference_seconds(batches)]
            case "training":
                return [self.training_seconds(batches)]
            case "collation":
                return [self.collation_seconds(batches)]
            case "memory":
                return self.training_memory(batches)
            case "representation":
                return self.representation_alone(batches[0][0])

    def inference_seconds(self, batches: Sequence[Sequence[Input]]) -> float:
        """Collate and predict."""
        self.model.eval()
        start = self.clock()
        with torch.inference_mode():
            for molecules in batches:
                self.predict(self.collate(molecules))
        return self.clock() - start

    def training_seconds(self, batches: Sequence[Sequence[Input]]) -> float:
        """Collate, forward with dropout, backward; one gradient of all batches, no step of an optimiser."""
        self.model.train()
        start = self.clock()
        self.model.zero_grad()
        self._add_gradients(batches)
        return self.clock() - start

    def collation_seconds(self, batches: Sequence[Sequence[Input]]) -> float:
        """Only make the batches."""
        start = self.clock()
        for molecules in batches:
            self.collate(molecules)
        return self.clock() - start

    def training_memory(self, batches: Sequence[Sequence[Input]]) -> list[float]:
        """Return MiB at the peak: above what weights and gradients held before, and in all."""
        self.model.train()
        self._add_gradients(batches[:1])
        self.model.zero_grad(set_to_none=False)
        forget_peak()
        held = mib_held()
        self._add_gradients(batches)
        return [peak_mib() - held, peak_mib()]

    def representation_alone(self, molecule: Input) -> list[float]:
        """Return [D] of a molecule in a batch of its own, where padding plays no part."""
        self.model.eval()
        with torch.no_grad():
            values: list[float] = self.represent(self.collate([molecule]))[0].double().tolist()
        return values

    def _add_gradients(self, batches: Sequence[Sequence[Input]]) -> None:
        for molecules in batches:
            predicted = self.predict(self.collate(molecules)).float()
            loss = nn.functional.mse_loss(predicted, torch.zeros(len(molecules), 1))
            torch.autograd.backward(loss)
