"""The one training loop, for pretraining and fine-tuning."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

import torch
import torch.distributed as dist

from unimol2_tasks.datasets.collation import LabelledBatch, LabelledSamples, PretrainingSamples, loader
from unimol2_tasks.datasets.order import Order, micro_batches
from unimol2_tasks.errors import TrainingDiverged
from unimol2_tasks.params import BestBy, TrainingParams
from unimol2_tasks.training.checkpoints import Checkpoints
from unimol2_tasks.training.continuation import SETTINGS, settings_used
from unimol2_tasks.training.curve import Curve
from unimol2_tasks.training.diverged import keep_for_replay
from unimol2_tasks.training.engine import on_any_rank, seed_step, summed
from unimol2_tasks.training.heartbeat import HEARTBEAT_SECONDS
from unimol2_tasks.training.job import RunFolder, Stopped, write_json
from unimol2_tasks.training.judgement import judgement, measure
from unimol2_tasks.training.loop_state import LoopState
from unimol2_tasks.training.trained import Trained


class Validation(Protocol):
    """Judges the engine's present weights."""

    def __call__(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Metrics by name, with `valid/loss` (lower is better); the same on all ranks.

        Args:
            stop: Whether some rank was asked to stop; all ranks must ask it equally often.

        Returns:
            The metrics, or None where a stop was asked for before they were complete.
        """


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train and how often to look."""

    steps: int
    validate_every: int
    patience: int = 0
    """Validations without improvement after which training ends; 0: never."""
    patience_from: int = 0
    """The step until which validations do not count: layers that wait to learn may yet improve it."""
    best_by: BestBy = "loss"
    """What improvement is."""


@dataclass(slots=True)
class Loop:
    """Trains an engine on the batches of an order.

    Attributes:
        trained: A network whose engine returns losses by name, the one to minimise `loss`.
        samples: Makes a batch from visits.
        order: Which molecules make up which batch.
        params: Batch sizes, seeds and intervals.
        plan: How long to train and how often to validate.
        validate: Judges the present weights; None: never. What it left undone, a resumed run does first.
        on_best: Called on every rank when validation has improved.
        run: The files through which the supervisor watches.
        stop_requested: Whether this rank was asked to stop.
    """

    trained: Trained
    samples: PretrainingSamples | LabelledSamples
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
            TrainingDiverged: Too many steps in a row had no finite gradient, or a validation loss is not
                finite.
        """
        checkpoints = Checkpoints(self.run.checkpoints, self.params.keep_checkpoints)
        self._resume(checkpoints)
        curve = Curve(self.run if self._is_first() else None, self.state.curve, self.params.tensorboard)
        if self.state.step:
            self._maybe_validate(curve, checkpoints)
        batches, started = self._batches(), self.state.step
        self.trained.telemetry.start()
        while self.state.step < self.plan.steps and not self._out_of_patience():
            learning_rate = float(self.trained.engine.get_lr()[0])
            losses = self._step(batches)
            self._finish_step()
            self._log(curve, losses, learning_rate)
            self._beat(losses)
            # Whoever asks to stop gives little time: a checkpoint comes before a validation.
            self._stop_if_asked(curve, checkpoints)
            self._maybe_validate(curve, checkpoints)
            if self.state.step % self.params.checkpoint_every == 0:
                self._save(curve, checkpoints)
        checkpoints.close()
        curve.close()
        if self._is_first():
            if self.state.step > started:
                write_json(self.run.speed, self.trained.telemetry.total())
            write_json(self.run.path / SETTINGS, {"settings": self.state.settings})
        return curve

    def _resume(self, checkpoints: Checkpoints) -> None:
        resumed = checkpoints.resume(self.trained.engine)
        if resumed is not None:
            self.state = LoopState.from_json(resumed.state)
            if self.trained.average is not None:
                if resumed.ema is None:
                    raise RuntimeError(f"{resumed.name} lacks the averaged weights of a run with ema_decay")
                self.trained.average.restore(resumed.ema)
        self.state.settings = settings_used(self.state.settings, self.state.step, self.params)

    def _save(self, curve: Curve, checkpoints: Checkpoints) -> None:
        self.state.curve = curve.rows
        state, engine, average = self.state, self.trained.engine, self.trained.average
        with self.trained.telemetry.during("saving"):
            ema = None if average is None else average.weights(engine.module)
            checkpoints.save(engine, state.step, state.to_json(), best_step=state.best_step, ema=ema)

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
        engine = self.trained.engine
        engine.train()
        totals: dict[str, torch.Tensor] = {}
        operations = 0.0
        for micro in range(self.params.accumulation):
            with self.trained.telemetry.during("waiting"):
                batch = next(batches)
            operations += self.trained.operations(batch)
            seed_step(self.params.seed, self.state.step, micro, dist.get_rank())
            losses = engine(batch.to(self.trained.device))
            engine.backward(losses["loss"])
            engine.step()
            for name, value in losses.items():
                share = value.detach().float() / self.params.accumulation
                totals[name] = totals.get(name, torch.zeros_like(share)) + share
        self.trained.telemetry.count(self.params.batch_size, operations)
        return totals

    def _finish_step(self) -> None:
        """Count the step, skipped or not."""
        state = self.state
        # Every rank skips the same: the gradient's norm is that of the whole batch.
        skipped = not self.trained.engine.was_step_applied()
        state.count(skipped)
        if state.skipped_in_a_row > self.params.max_skipped_steps:
            self._give_up()
        state.step += 1
        if self.trained.average is not None and not skipped:
            self.trained.average.update(state.step)

    def _stop_if_asked(self, curve: Curve, checkpoints: Checkpoints) -> None:
        if self._asked_to_stop():
            self._stop(curve, checkpoints)

    def _stop(self, curve: Curve, checkpoints: Checkpoints) -> NoReturn:
        self._save(curve, checkpoints)
        checkpoints.close()
        raise Stopped(f"stopped after step {self.state.step}")

    def _asked_to_stop(self) -> bool:
        """Whether any rank was; all must ask equally often."""
        return on_any_rank(self.stop_requested(), self.trained.device)

    def _log(self, curve: Curve, losses: dict[str, torch.Tensor], learning_rate: float) -> None:
        step = self.state.step
        if step % self.params.log_every and step not in (1, self.plan.steps):
            return
        means = summed(torch.stack(list(losses.values()))) / dist.get_world_size()
        values = {f"train/{name}": float(value) for name, value in zip(losses, means, strict=True)}
        values["gradient_norm"] = float(self.trained.engine.get_global_grad_norm())
        # A skipped step has nothing to show but that it was skipped; JSON and tables know no NaN.
        metrics = {name: value for name, value in values.items() if math.isfinite(value)}
        curve.add(step, metrics | {"learning_rate": learning_rate, "skipped_steps": self.state.skipped})
        curve.show(step, {f"speed/{name}": value for name, value in self.trained.telemetry.recent().items()})

    def _maybe_validate(self, curve: Curve, checkpoints: Checkpoints) -> None:
        """At the first step too: what validation or saving cannot do is known at once, not after hours."""
        step = self.state.step
        if self.validate is None or (step % self.plan.validate_every and step not in (1, self.plan.steps)):
            return
        if curve.has(step, "valid/loss"):
            return
        with self.trained.telemetry.during("validating"):
            metrics = self.validate(self._asked_to_stop)
            if metrics is None:
                self._stop(curve, checkpoints)
            _refuse_divergence(step, metrics)
            curve.add(step, metrics)
            best = self.state.judge(judgement(metrics, self.plan.best_by), metrics["valid/loss"])
            if step <= self.plan.patience_from:
                self.state.stale = 0
            if best:
                self.on_best()
        if best:
            self._save(curve, checkpoints)

    def _give_up(self) -> NoReturn:
        """End a run that cannot recover; all ranks see the same and do so together."""
        state = self.state
        message = (
            f"the gradient of {state.skipped_in_a_row} steps in a row, until step {state.step + 1}, was not "
            "finite: training has diverged; lower learning_rate or warm up longer"
        )
        if isinstance(self.samples, PretrainingSamples):
            batch = self.order.batch(state.step, self.params.batch_size)
            keep_for_replay(self.run, self.trained.engine, self.samples.dataset, batch, state.step)
            message += f", or see what happens to the molecules with: unimol2 replay {self.run.diverged}"
        raise TrainingDiverged(message)

    def _out_of_patience(self) -> bool:
        return 0 < self.plan.patience <= self.state.stale

    def _beat(self, losses: dict[str, torch.Tensor]) -> None:
        now = time.monotonic()
        if not self._is_first() or (
            now - self._last_beat < HEARTBEAT_SECONDS and self.state.step < self.plan.steps
        ):
            return
        self._last_beat = now
        detail = f"loss {float(losses['loss']):.4f}"
        if self.state.best_step >= 0:
            detail += f", best {measure(self.plan.best_by)} {self.state.best:.4f}"
        write_json(self.run.heartbeat, {"step": self.state.step, "steps": self.plan.steps, "detail": detail})

    def _is_first(self) -> bool:
        return dist.get_rank() == 0


def _refuse_divergence(step: int, metrics: dict[str, float]) -> None:
    """End a run that cannot recover, on all ranks: the metrics are the same on all."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"{name} is {value} after step {step}: training has diverged; lower learning_rate or warm up "
                "longer, and if it is so at the first step, look for a molecule with impossible coordinates"
            )
