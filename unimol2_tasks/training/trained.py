"""A network in training: the engine around it, what is averaged of it, what it costs."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from unimol2_model import ModelConfig
from unimol2_model.flops import training_flops
from unimol2_tasks.datasets.collation import LabelledBatch
from unimol2_tasks.params import TrainingParams
from unimol2_tasks.training.engine import build_engine, full_weights
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.layer_groups import WeightGroup
from unimol2_tasks.training.moving_average import MovingAverage
from unimol2_tasks.training.telemetry import Telemetry, peak_tflops


@dataclass(frozen=True, slots=True)
class Trained:
    """What the loop trains, validates and saves.

    Attributes:
        engine: DeepSpeed's, around an objective whose network is its `model`.
        average: The moving average of the weights that is published in their place, or None.
        telemetry: Measures the training.
    """

    engine: Any
    average: MovingAverage | None
    telemetry: Telemetry

    @property
    def device(self) -> torch.device:
        """Where this rank computes."""
        device: torch.device = self.engine.device
        return device

    def judged(self) -> torch.nn.Module:
        """The objective with the weights that would be published now; every rank must call it."""
        self.engine.eval()
        objective: torch.nn.Module = self.engine.module
        return objective if self.average is None else self.average.refresh()

    def weights(self) -> dict[str, torch.Tensor]:
        """The network's weights to publish, in fp32 on the CPU; every rank must call it."""
        model = self.engine.module.model
        return full_weights(self.engine, model) if self.average is None else self.average.weights(model)

    def operations(self, batch: LabelledBatch) -> float:
        """Floating-point operations of training on a batch, those of its padding left out."""
        model = self.engine.module.model
        atoms = batch.molecules.atom_mask.sum(dim=1).tolist()
        return float(sum(_operations(model.config, n, model.backbone.checkpoint_activations) for n in atoms))


def prepare_training(
    objective: torch.nn.Module,
    params: TrainingParams,
    device: torch.device,
    warmup: int,
    total: int,
    run: RunFolder,
    groups: Sequence[WeightGroup] = (),
) -> Trained:
    """Build the engine, and what goes with it, around an objective whose network is its `model`.

    What is done to the network is done in this order: activations that are not kept, compilation, then
    DeepSpeed, which divides what it finds.

    Args:
        objective: A module whose forward pass returns losses.
        params: Optimiser, precision, ZeRO stage and the rest.
        device: Where this rank computes.
        warmup: Steps of warm-up.
        total: Optimiser steps in all.
        run: Where the configuration that DeepSpeed is given is kept.
        groups: All trainable weights by how they learn; none: all alike.
    """
    objective.to(device)
    averaged = None if params.ema_decay is None else copy.deepcopy(objective).requires_grad_(False)
    backbone: Any = objective.model.backbone  # type: ignore[union-attr]
    backbone.checkpoint_activations = params.checkpoint_activations
    if params.compile:
        for block in backbone.blocks:
            block.compile(dynamic=False)
    engine = build_engine(objective, params, warmup, total, run, groups)
    average = (
        None
        if averaged is None or params.ema_decay is None
        else MovingAverage(engine, averaged, params.ema_decay)
    )
    telemetry = Telemetry(device, peak_tflops(params, device), params.ranks)
    return Trained(engine, average, telemetry)


@lru_cache(maxsize=2048)
def _operations(config: ModelConfig, atoms: int, checkpoint_activations: bool) -> int:
    return training_flops(config, atoms, checkpoint_activations=checkpoint_activations)
