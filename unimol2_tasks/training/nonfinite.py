"""Where in a network the first number arises that is not finite."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from unimol2_tasks.datasets.collation import LabelledBatch

_LARGEST_FP32 = float(torch.finfo(torch.float32).max)


@dataclass(frozen=True, slots=True)
class Examination:
    """One forward and backward pass, looked at closely."""

    losses: dict[str, float]
    """By name, the one that was minimised as `loss`."""
    gradient_norm: float
    """Over all parameters."""
    origin: str | None
    """What was not finite first: `output of …`, a module, `… loss`, or `gradient of …`, a parameter."""

    @property
    def finite(self) -> bool:
        """Whether training could have used it; DeepSpeed adds up the squares of the gradient in fp32."""
        return math.isfinite(self.losses["loss"]) and self.gradient_norm**2 < _LARGEST_FP32


def examine(objective: torch.nn.Module, batch: LabelledBatch) -> Examination:
    """Run a batch forward and backward.

    Args:
        objective: A module whose forward pass returns losses by name; its gradients are overwritten.
        batch: On the same device.
    """
    objective.zero_grad(set_to_none=True)
    with _watching(objective) as origins:
        losses = objective(batch)
        origins += [f"{name} loss" for name, value in losses.items() if not bool(torch.isfinite(value))]
        losses["loss"].backward()
    gradients = [parameter.grad for parameter in objective.parameters() if parameter.grad is not None]
    norms = [float(torch.linalg.vector_norm(gradient, dtype=torch.float64)) for gradient in gradients]
    return Examination(
        {name: float(value.detach()) for name, value in losses.items()},
        # `hypot` does not overflow where the sum of the squares would.
        math.hypot(*norms),
        origins[0] if origins else None,
    )


@contextmanager
def _watching(objective: torch.nn.Module) -> Iterator[list[str]]:
    """Within the block, a list of what was not finite, in the order in which it was computed."""
    origins: list[str] = []
    handles = [
        *(
            module.register_forward_hook(partial(_see_output, origins, name))
            for name, module in objective.named_modules()
            if name
        ),
        *(
            parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                partial(_see_gradient, origins, name)
            )
            for name, parameter in objective.named_parameters()
            if parameter.requires_grad
        ),
    ]
    try:
        yield origins
    finally:
        for handle in handles:
            handle.remove()


def _see_output(origins: list[str], name: str, _module: torch.nn.Module, _inputs: Any, output: Any) -> None:
    # A module within another ends first, so that the innermost one is named.
    if not all(bool(torch.isfinite(tensor).all()) for tensor in _tensors(output)):
        origins.append(f"output of {name.removeprefix('model.')}")


def _see_gradient(origins: list[str], name: str, parameter: torch.Tensor) -> None:
    if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
        origins.append(f"gradient of {name.removeprefix('model.')}")


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, tuple | list):
        for part in output:
            yield from _tensors(part)
