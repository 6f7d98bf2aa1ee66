"""A moving average of the weights, kept where the optimiser keeps its full-precision weights.

Under ZeRO each rank averages its own partition, so that the average costs no communication and one more copy
of what the rank holds anyway; it is put together only to validate, to save and to publish.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from unimol2_tasks.training.engine import full_weights

_WARM_UP = 10
"""Until about this many steps, the average forgets faster: else it would stay near the random start."""


class MovingAverage:
    """An exponential moving average of an engine's weights, and a network that carries it.

    Attributes:
        network: A copy of the engine's module, for looking at the average; `refresh` brings it up to date.
    """

    def __init__(self, engine: Any, network: torch.nn.Module, decay: float) -> None:
        self.network = network
        self._engine = engine
        self._decay = decay
        self._masters = full_precision_weights(engine)
        self._averages = [weight.detach().clone() for weight in self._masters]

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self._decay, (1 + step) / (_WARM_UP + step))
        masters = [weight.detach() for weight in self._masters]
        torch._foreach_lerp_(self._averages, masters, 1 - decay)

    def weights(self, module: torch.nn.Module) -> dict[str, torch.Tensor]:
        """The averaged weights of `module` (a part of the engine's) on the CPU; every rank must call it."""
        with self._in_place():
            return full_weights(self._engine, module)

    def refresh(self) -> torch.nn.Module:
        """The network with the present average, for looking at it; every rank must call it."""
        self.network.load_state_dict(self.weights(self._engine.module))
        return self.network.eval()

    def restore(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Go on from an average that `weights(engine.module)` gave; every rank must call it."""
        with self._in_place():
            for name, parameter in self._engine.module.named_parameters():
                if not parameter.requires_grad:
                    continue
                if _is_divided(parameter):
                    _set_full_precision(parameter, weights[name])
                else:
                    parameter.data.copy_(weights[name])

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Within the block, the optimiser's weights are the averages."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for master, average in zip(self._masters, self._averages, strict=True):
            kept = master.detach().clone()
            master.data.copy_(average)
            average.copy_(kept)


def full_precision_weights(engine: Any) -> list[torch.Tensor]:
    """The fp32 weights that this rank's optimiser updates: flat partitions under ZeRO."""
    optimizer = engine.optimizer
    if hasattr(optimizer, "fp32_partitioned_groups_flat"):
        return list(optimizer.fp32_partitioned_groups_flat)
    if hasattr(optimizer, "single_partition_of_fp32_groups"):
        return list(optimizer.single_partition_of_fp32_groups)
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _set_full_precision(parameter: torch.nn.Parameter, weight: torch.Tensor) -> None:
    """Give ZeRO's full-precision copy of a parameter, wherever its parts are, another value."""
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_local_fp32_param

    weight = weight.to(parameter.device)
    if not hasattr(parameter, "ds_id"):
        safe_set_full_fp32_param(parameter, weight)
        return
    # ZeRO-3 cuts equal parts, the last one padded, which DeepSpeed's own function for whole weights forgets.
    ranks = torch.distributed.get_world_size()
    padded = torch.nn.functional.pad(weight.flatten(), (0, -weight.numel() % ranks))
    safe_set_local_fp32_param(parameter, padded.view(ranks, -1)[torch.distributed.get_rank()])


def _is_divided(parameter: torch.nn.Parameter) -> bool:
    """Whether ZeRO keeps this parameter's full-precision weights elsewhere."""
    return hasattr(parameter, "ds_id") or hasattr(parameter, "_hp_mapping")
