"""How fast a run is, and where its time goes: shown while it runs, and never part of its result."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch

from unimol2_tasks.params import TrainingParams

Activity = Literal["waiting", "validating", "saving"]
_GIB = 2**30
# Dense matrix products in bf16 and fp16, in TFLOP/s: NVIDIA's data sheets of the SXM modules.
_PEAK_TFLOPS = {"V100": 125.0, "A100": 312.0, "H100": 989.0, "H200": 989.0, "B200": 2250.0}


@dataclass(slots=True)
class Telemetry:
    """Counts what one rank does, and how long it takes.

    Attributes:
        device: Where this rank computes.
        peak_tflops: What the device can do, in 10¹² floating-point operations per second; None: unknown.
        ranks: Among which the molecules are shared out.
    """

    device: torch.device
    peak_tflops: float | None
    ranks: int
    _total: "_Span" = field(default_factory=lambda: _Span())
    _recent: "_Span" = field(default_factory=lambda: _Span())

    def start(self) -> None:
        """Begin to count: what came before, such as loading a checkpoint, is no training."""
        self._total, self._recent = _Span(), _Span()

    @contextmanager
    def during(self, activity: Activity) -> Iterator[None]:
        """Count the time of the block as spent on something else than on training steps."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - begin
            for span in (self._total, self._recent):
                span.seconds[activity] = span.seconds.get(activity, 0.0) + seconds

    def count(self, molecules: int, operations: float) -> None:
        """A step is done.

        Args:
            molecules: Those of the global batch.
            operations: Floating-point operations of this rank.
        """
        for span in (self._total, self._recent):
            span.steps += 1
            span.molecules += molecules
            span.operations += operations

    def recent(self) -> dict[str, float]:
        """Figures since they were last asked for."""
        figures = self._figures(self._recent)
        self._recent = _Span()
        return figures

    def total(self) -> dict[str, float]:
        """Figures since the start of this process."""
        return self._figures(self._total)

    def _figures(self, span: "_Span") -> dict[str, float]:
        """Rates count the time of training steps, with the wait for data and without the rest."""
        elapsed = max(time.perf_counter() - span.begin, 1e-9)
        aside = span.seconds.get("validating", 0.0) + span.seconds.get("saving", 0.0)
        training = max(elapsed - aside, 1e-9)
        figures = {
            "molecules_per_second": span.molecules / training,
            "molecules_per_second_per_rank": span.molecules / training / self.ranks,
            "step_seconds": training / max(span.steps, 1),
            "data_wait_share": span.seconds.get("waiting", 0.0) / training,
            "validation_share": span.seconds.get("validating", 0.0) / elapsed,
            "checkpoint_share": span.seconds.get("saving", 0.0) / elapsed,
            "memory_gib": peak_memory(self.device) / _GIB,
            "tflops": span.operations / training / 1e12,
        }
        if self.peak_tflops is not None:
            figures["share_of_peak"] = figures["tflops"] / self.peak_tflops
        return figures


@dataclass(slots=True)
class _Span:
    """What was counted since a moment."""

    begin: float = field(default_factory=lambda: time.perf_counter())
    steps: int = 0
    molecules: int = 0
    operations: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that tensors took on a GPU; on a CPU, the most that this process took."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * kibibytes


def peak_tflops(params: TrainingParams, device: torch.device) -> float | None:
    """What the device can do at the precision of the run: as given, or as its data sheet says."""
    if params.peak_tflops is not None or device.type != "cuda" or params.precision == "fp32":
        return params.peak_tflops
    name = torch.cuda.get_device_name(device)
    return next((tflops for known, tflops in _PEAK_TFLOPS.items() if known in name), None)
