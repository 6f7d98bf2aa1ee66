"""Which layers of a pretrained network learn from when on, and how fast.

Discriminative learning rates and gradual unfreezing (Howard & Ruder, 2018): the head learns from the start
at the full rate, what lies deeper later and slower. A layer that is still frozen has the learning rate 0, so
that all of it is a function of the step: an interrupted run goes on as if it had not been interrupted, and
what DeepSpeed divides among the ranks stays as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from unimol2_model import UniMol2ForProperties
from unimol2_tasks.params import FinetuneParams


@dataclass(frozen=True, slots=True)
class WeightGroup:
    """Weights that learn alike."""

    weights: list[nn.Parameter]
    rate: float = 1.0
    """Their share of the learning rate."""
    start: int = 0
    """The optimiser step from which on they learn."""

    def factor(self, step: int) -> float:
        """Their share of the learning rate after `step` steps."""
        return self.rate if step >= self.start else 0.0


def layer_groups(
    network: UniMol2ForProperties, params: FinetuneParams, steps_per_epoch: float
) -> list[WeightGroup]:
    """The trainable weights of a network by learning rate and start, those of the head first.

    Args:
        network: With its backbone frozen, where nothing of it is to be trained.
        params: Decay from layer to layer, and stages of unfreezing.
        steps_per_epoch: Optimiser steps, which need not be whole.
    """
    keys = {
        weight: (params.layer_decay**depth, round(stage * params.unfreeze_epochs * steps_per_epoch))
        for depth, stage, layer in _layers(network, params.unfreeze_blocks)
        for weight in layer.parameters()
    }
    # The head's first, because the log shows the learning rate of the first.
    groups: dict[tuple[float, int], list[nn.Parameter]] = {(1.0, 0): []}
    for weight in network.parameters():
        if weight.requires_grad:
            groups.setdefault(keys[weight], []).append(weight)
    return [WeightGroup(weights, *key) for key, weights in groups.items()]


def _layers(network: UniMol2ForProperties, blocks_per_stage: int) -> Iterator[tuple[int, int, nn.Module]]:
    """Depth below the head, stage of unfreezing and module of every layer, from the top."""
    backbone = network.backbone
    yield 0, 0, network.head
    for depth, block in enumerate(reversed(backbone.blocks), start=1):
        yield depth, -(-depth // blocks_per_stage), block
    lowest = len(backbone.blocks)
    for embedding in (
        backbone.atom_embedding,
        backbone.pair_embedding,
        backbone.atom_norm,
        backbone.pair_norm,
    ):
        yield lowest + 1, -(-lowest // blocks_per_stage), embedding
