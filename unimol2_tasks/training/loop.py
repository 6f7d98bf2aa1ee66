"""The one training loop, for pretraining and fine-tuning."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.distributed as dist

from unimol2_tasks.datasets.collation import LabelledBatch, loader
from unimol2_tasks.datasets.order import Order, micro_batches
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import TrainingParams
from unimol2_tasks.training.checkpoints import Checkpoints
from unimol2_tasks.training.curve import Curve
from unimol2_tasks.training.engine import any_rank, seed_step, summed
from unimol2_tasks.training.job import RunFolder, Stopped, write_json

_HEARTBEAT_SECONDS = 0.5


class Validation(Protocol):
    """Judges the engine's present weights."""

    def __call__(self) -> dict[str, float]:
        """Metrics by name, with `valid/loss` (lower is better); the same on all ranks."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train and how often to look."""

    steps: int
    validate_every: int
    patience: int = 0
    """Validations without improvement after which training ends; 0: never."""


@dataclass(slots=True)
class LoopState:
    """What a checkpoint keeps of the loop, besides the engine."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = -1
    stale: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; infinity, which JSON lacks, becomes None."""
        return {
            "step": self.step,
            "best_loss": None if math.isinf(self.best_loss) else self.best_loss,
            "best_step": self.best_step,
            "stale": self.stale,
            "curve": self.curve,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "LoopState":
        """What `to_json` gave."""
        best = value["best_loss"]
        return cls(**{**value, "best_loss": math.inf if best is None else best})


@dataclass(slots=True)
class Loop:
    """Trains an engine on the batches of an order.

    Attributes:
        engine: A DeepSpeed engine whose forward pass returns losses by name, the one to minimise `loss`.
        samples: Makes a batch from visits.
        order: Which molecules make up which batch.
        params: Batch sizes, seeds and intervals.
        plan: How long to train and how often to validate.
        validate: Judges the present weights; None: never.
        on_best: Called on every rank when the validation loss has improved.
        run: The files through which the supervisor watches.
        stop_requested: Whether this rank was asked to stop.
    """

    engine: Any
    samples: torch.utils.data.Dataset[LabelledBatch]
    order: Order
    params: TrainingParams
    plan: Plan
    validate: Validation | None
    on_best: Callable[[], None]
    run: RunFolder
    stop_requested: Callable[[], bool]
    state: LoopState = field(default_factory=LoopState)
    _last_beat: float = 0.0

    def train(self) -> Curve:
        """Train to the end of the plan, from the newest checkpoint if there is one.

        Raises:
            Stopped: A stop was requested; a checkpoint of the last finished step is on disk.
            UserError: A loss is no finite number any more.
        """
        checkpoints = Checkpoints(self.run.checkpoints, self.params.keep_checkpoints)
        resumed = checkpoints.resume(self.engine)
        if resumed is not None:
            self.state = LoopState.from_json(resumed)
        curve = Curve(self.run if self._is_first() else None, self.state.curve)
        batches = self._batches()
        while self.state.step < self.plan.steps and not self._out_of_patience():
            learning_rate = float(self.engine.get_lr()[0])
            losses = self._step(batches)
            self.state.step += 1
            self._log(curve, losses, learning_rate)
            self._maybe_validate(curve)
            self.state.curve = curve.rows
            self._beat(losses)
            stop = any_rank(self.stop_requested(), self.engine.device)
            if stop or self.state.step % self.params.checkpoint_every == 0:
                checkpoints.save(self.engine, self.state.step, self.state.to_json())
            if stop:
                raise Stopped(f"stopped after step {self.state.step}")
        curve.close()
        return curve

    def _batches(self) -> Iterator[LabelledBatch]:
        plan = micro_batches(
            self.order,
            self.state.step,
            self.plan.steps,
            self.params.batch_size,
            self.params.micro_batch,
            dist.get_rank(),
            dist.get_world_size(),
        )
        return loader(self.samples, plan, self.params.loader_workers)

    def _step(self, batches: Iterator[LabelledBatch]) -> dict[str, torch.Tensor]:
        """One optimiser step; returns the losses of this rank, averaged over its micro-batches."""
        self.engine.train()
        totals: dict[str, torch.Tensor] = {}
        for micro in range(self.params.accumulation):
            seed_step(self.params.seed, self.state.step, micro, dist.get_rank())
            losses = self.engine(next(batches).to(self.engine.device))
            self.engine.backward(losses["loss"])
            self.engine.step()
            for name, value in losses.items():
                share = value.detach().float() / self.params.accumulation
                totals[name] = totals.get(name, torch.zeros_like(share)) + share
        return totals

    def _log(self, curve: Curve, losses: dict[str, torch.Tensor], learning_rate: float) -> None:
        step = self.state.step
        if step % self.params.log_every and step not in (1, self.plan.steps):
            return
        means = summed(torch.stack(list(losses.values()))) / dist.get_world_size()
        metrics = {f"train/{name}": float(value) for name, value in zip(losses, means, strict=True)}
        _refuse_divergence(step, metrics)
        curve.add(step, metrics | {"learning_rate": learning_rate})

    def _maybe_validate(self, curve: Curve) -> None:
        step = self.state.step
        if self.validate is None or (step % self.plan.validate_every and step != self.plan.steps):
            return
        self.engine.eval()
        metrics = self.validate()
        _refuse_divergence(step, metrics)
        curve.add(step, metrics)
        if metrics["valid/loss"] < self.state.best_loss:
            self.state.best_loss, self.state.best_step, self.state.stale = metrics["valid/loss"], step, 0
            self.on_best()
        else:
            self.state.stale += 1

    def _out_of_patience(self) -> bool:
        return 0 < self.plan.patience <= self.state.stale

    def _beat(self, losses: dict[str, torch.Tensor]) -> None:
        now = time.monotonic()
        if not self._is_first() or (
            now - self._last_beat < _HEARTBEAT_SECONDS and self.state.step < self.plan.steps
        ):
            return
        self._last_beat = now
        detail = f"loss {float(losses['loss']):.4f}"
        if self.state.best_step >= 0:
            detail += f", best validation {self.state.best_loss:.4f}"
        write_json(self.run.heartbeat, {"step": self.state.step, "steps": self.plan.steps, "detail": detail})

    def _is_first(self) -> bool:
        return dist.get_rank() == 0


def _refuse_divergence(step: int, metrics: dict[str, float]) -> None:
    """End a run that cannot recover, on all ranks: the metrics are the same on all."""
    for name, value in metrics.items():
        if name.endswith("loss") and not math.isfinite(value):
            raise UserError(
                f"{name} is {value} after step {step}: training has diverged; lower learning_rate, "
                "or warm up longer"
            )
