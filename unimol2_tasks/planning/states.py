"""Memory of what training keeps from step to step: weights, gradients, Adam's state.

The accounting is that of ZeRO (Rajbhandari et al. 2020, section 3.1) with what DeepSpeed 0.19 adds to it:
buckets for communication, fp32 masters also in fp32 training, and under ZeRO 3 the weights that are gathered.
DeepSpeed's live tensors on one and two ranks of a CPU were as counted here, offload aside, which needs a GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Precision = Literal["fp32", "bf16", "fp16"]

BYTES_PER_NUMBER: dict[Precision, int] = {"fp32": 4, "bf16": 2, "fp16": 2}
_FULL = BYTES_PER_NUMBER["fp32"]
_MOMENTS = 2
"""Of Adam, per weight; always fp32 here."""
_REDUCE_BUCKET = 500_000_000
"""Numbers; DeepSpeed's default of `reduce_bucket_size`. It is allocated whole, however small the network."""
_MAX_LIVE_PARAMETERS = 1_000_000_000
"""DeepSpeed's default of `stage3_max_live_parameters`, until which it keeps gathered weights."""


@dataclass(frozen=True, slots=True)
class StateMemory:
    """Bytes per rank, but for `host` all of them on the GPU."""

    weights: int
    """The copy that the network computes with; under ZeRO 3 this rank's part, and those gathered at once."""
    gradients: int
    """At the end of the backward pass."""
    masters: int
    """fp32 weights that the optimiser updates; 0 where `weights` are these."""
    moments: int
    """Both of Adam's."""
    average: int
    """The moving average of the weights, with the network that carries it to validation; 0 without one."""
    buckets: int
    """Buffers in which gradients are collected for communication."""
    step: int
    """fp32 gradients of this rank's part: only while the optimiser steps, when no activation is kept."""
    host: int
    """In the CPU's memory: masters, moments and gradients where the optimiser is offloaded."""

    @property
    def kept(self) -> int:
        """Bytes on the GPU while the network runs."""
        return self.weights + self.gradients + self.masters + self.moments + self.average + self.buckets


def state_memory(
    parameters: int,
    precision: Precision,
    stage: int,
    ranks: int,
    *,
    offload: bool = False,
    averaged: bool = False,
    zero: Mapping[str, Any] | None = None,
) -> StateMemory:
    """Count the bytes of each rank.

    Args:
        parameters: of the network.
        precision: of training.
        stage: ZeRO stage as DeepSpeed runs it, so not 0 in half precision.
        ranks: training processes, one per GPU.
        offload: masters and moments lie in the CPU's memory.
        averaged: a moving average of the weights is kept.
        zero: the `zero_optimization` section of the DeepSpeed configuration.
    """
    options = zero or {}
    number = BYTES_PER_NUMBER[precision]
    part = -(-parameters // ranks)
    shared = part if stage >= 1 else parameters
    masters, moments = (_FULL * shared if stage else 0), _MOMENTS * _FULL * shared
    step = _FULL * part if stage else 0
    collected = number * part if stage >= 2 else number * parameters
    # Offloaded from stage 2 on, what is reduced leaves the GPU bucket by bucket.
    on_host = masters + moments + step + number * part if offload else 0
    return StateMemory(
        weights=number * (part + _gathered(parameters, options) if stage == 3 else parameters),
        gradients=0 if offload and stage >= 2 else collected,
        masters=0 if offload else masters,
        moments=0 if offload else moments,
        average=(0 if offload else _FULL * shared) + number * parameters if averaged else 0,
        buckets=_buckets(stage, options) * number,
        step=0 if offload else step,
        host=on_host + (_FULL * shared if offload and averaged else 0),
    )


def _gathered(parameters: int, options: Mapping[str, Any]) -> int:
    live = options.get("stage3_max_live_parameters", options.get("max_live_parameters", _MAX_LIVE_PARAMETERS))
    return min(parameters, int(live))


def _buckets(stage: int, options: Mapping[str, Any]) -> int:
    """Numbers; two buckets where communication overlaps with the backward pass of ZeRO 1 and 2."""
    if not stage:
        return 0
    copies = 2 if stage < 3 and options.get("overlap_comm") else 1
    return copies * int(options.get("reduce_bucket_size", _REDUCE_BUCKET))
