"""Time and money: from floating-point operations to GPU hours."""

from collections.abc import Mapping
from dataclasses import dataclass

from unimol2_model import ModelConfig
from unimol2_model.flops import training_flops

_SECONDS_PER_HOUR = 3600
_HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one GPU trains."""

    rate: float
    """Molecules per second and GPU."""
    source: str
    """Where the rate is from, for people."""
    assumed: bool
    """No rate was measured: it follows from a peak and an assumed or given share of it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run takes."""

    samples: int
    """Visits to molecules: steps · batch."""
    epochs: float | None
    """Passes over the train split; None where its size is not known."""
    flops: float
    """Floating-point operations of all steps, forward and backward."""
    gpu_hours: float
    days: float
    """Of wall clock, on all GPUs."""
    price: float | None
    """In the currency of the price per GPU hour; None without one."""


def molecule_flops(config: ModelConfig, counts: Mapping[int, int], checkpoint_activations: bool) -> float:
    """Average the operations of a training step over molecules by their heavy atoms, each at its own size."""
    total = sum(
        count * training_flops(config, atoms, checkpoint_activations=checkpoint_activations)
        for atoms, count in counts.items()
    )
    return total / sum(counts.values())


def speed_of_peak(flops: float, tflops: float, utilisation: float, source: str) -> Speed:
    """The rate at a share of a GPU's peak.

    Args:
        flops: operations of one molecule in a training step.
        tflops: the peak, in 10¹² operations per second.
        utilisation: the share of it that is reached.
        source: whose peak it is, for people.
    """
    return Speed(
        rate=tflops * 1e12 * utilisation / flops,
        source=f"{utilisation:.0%} of {source}",
        assumed=True,
    )


def cost_of(
    *,
    steps: int,
    batch: int,
    flops: float,
    gpus: int,
    speed: Speed,
    training: int | None,
    price: float | None,
) -> Cost:
    """Work out a run.

    Args:
        steps: optimiser steps.
        batch: molecules per step, over all GPUs.
        flops: operations of one molecule in a training step.
        gpus: how many share the work; they are taken to lose nothing to each other.
        speed: of one.
        training: molecules of the train split.
        price: of one GPU for one hour.
    """
    samples = steps * batch
    gpu_hours = samples / speed.rate / _SECONDS_PER_HOUR
    return Cost(
        samples=samples,
        epochs=None if training is None else samples / training,
        flops=samples * flops,
        gpu_hours=gpu_hours,
        days=gpu_hours / gpus / _HOURS_PER_DAY,
        price=None if price is None else gpu_hours * price,
    )
