"""DeepSpeed: start-up, the engine, and the full-precision weights that come out of it."""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch.optim.optimizer import ParamsT

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import FinetuneParams, TrainingParams
from unimol2_tasks.training.deepspeed_config import deepspeed_config, refuse_unsupported
from unimol2_tasks.training.job import RunFolder, write_json
from unimol2_tasks.training.layer_groups import WeightGroup
from unimol2_tasks.training.schedule import learning_rate_factor


def start_distributed(params: TrainingParams) -> torch.device:
    """Join the process group that torchrun describes, and choose this rank's device.

    Raises:
        ParameterError: The precision is not supported on this machine, or its ranks outnumber its GPUs.
    """
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    refuse_unsupported(params, accelerator)
    if accelerator == "cuda":
        _refuse_shared_gpus(params)
    os.environ["DS_ACCELERATOR"] = accelerator
    deepspeed = import_deepspeed()
    if accelerator == "cpu":
        # Else DeepSpeed compiles a shared-memory reduction with g++, which a user's machine may lack.
        import deepspeed.ops as ops

        ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if accelerator == "cuda" else "gloo", verbose=False)
    if accelerator == "cpu":
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def _refuse_shared_gpus(params: TrainingParams) -> None:
    """A rank without a GPU of its own would end with CUDA's "invalid device ordinal"."""
    ranks, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if ranks <= gpus:
        return
    section = "finetune" if isinstance(params, FinetuneParams) else "pretrain"
    nodes = int(os.environ["WORLD_SIZE"]) // ranks
    raise ParameterError(
        f"{section}.ranks={params.ranks}: {ranks} training processes share {gpus} GPU{'s' * (gpus > 1)} on a "
        f"machine, and each needs one of its own; set {section}.ranks={gpus * nodes}, or train on CPUs with "
        "CUDA_VISIBLE_DEVICES= before the command (under Slurm or Kubernetes in launch.environment)"
    )


def leave_distributed() -> None:
    """Wait until every rank is here, then leave the process group; does nothing outside of one.

    A rank that ends while another still writes its result would have that one killed by torchrun, and gloo's
    threads, left to the interpreter's exit, now and then abort the process there.
    """
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def import_deepspeed() -> Any:
    """DeepSpeed with its chatter turned down to warnings."""
    import logging

    import deepspeed
    from deepspeed.utils import logger

    logger.setLevel(logging.WARNING)
    return deepspeed


def build_engine(
    objective: torch.nn.Module,
    params: TrainingParams,
    warmup: int,
    total: int,
    run: RunFolder,
    groups: Sequence[WeightGroup] = (),
) -> Any:
    """The DeepSpeed engine around an objective.

    AdamW is torch's own: DeepSpeed's fused ones need a compiler on the user's machine.

    Args:
        objective: A module whose forward pass returns losses.
        params: Optimiser, precision and ZeRO stage.
        warmup: Steps of warm-up.
        total: Optimiser steps in all.
        run: Where the configuration that DeepSpeed is given is kept.
        groups: All trainable weights by how they learn; none: all alike.
    """
    deepspeed = import_deepspeed()
    config = deepspeed_config(params)
    if not groups:
        groups = [WeightGroup([weight for weight in objective.parameters() if weight.requires_grad])]
    weights = [{"params": group.weights} for group in groups]
    optimizer: torch.optim.Optimizer
    options: dict[str, Any] = {
        "lr": params.learning_rate,
        "betas": params.betas,
        "eps": params.eps,
        "weight_decay": params.weight_decay,
        "fused": True,
    }
    if config["zero_optimization"]["stage"]:
        optimizer = torch.optim.AdamW(weights, **options)
    else:
        optimizer = FiniteAdamW(weights, clip=params.clip, **options)
    if dist.get_rank() == 0:
        write_json(run.deepspeed, config)
    engine, *_ = deepspeed.initialize(
        model=objective,
        optimizer=optimizer,
        config=config,
        lr_scheduler=lambda wrapped: torch.optim.lr_scheduler.LambdaLR(
            wrapped, [_rate(group, warmup, total) for group in groups]
        ),
    )
    return engine


def _rate(group: WeightGroup, warmup: int, total: int) -> Callable[[int], float]:
    return lambda step: learning_rate_factor(step, warmup, total) * group.factor(step)


class FiniteAdamW(torch.optim.AdamW):
    """AdamW that clips, and leaves weights and moments alone where the gradient is not finite.

    DeepSpeed's ZeRO optimisers do both themselves; without ZeRO in fp32 it only clips. The engine reads
    `overflow` and `_global_grad_norm`, as it does of its own optimisers, to count the skipped steps and to
    hold the learning rate.
    """

    def __init__(self, weights: ParamsT, *, clip: float, **options: Any) -> None:
        super().__init__(weights, **options)
        self.clip = clip
        self.overflow = False
        self._global_grad_norm = 0.0

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take a step, or none. Gradients are the same on all ranks, so all decide the same."""
        weights = [weight for group in self.param_groups for weight in group["params"]]
        norm = torch.nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
        self._global_grad_norm = float(norm)
        self.overflow = not math.isfinite(self._global_grad_norm)
        if self.overflow:
            return
        if self.clip:
            torch.nn.utils.clip_grads_with_norm_(weights, self.clip, norm)
        super().step(closure)


def full_weights(engine: Any, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The fp32 weights of `module` (a part of the engine's module) on the CPU; every rank must call it.

    Gathers what ZeRO spread over the ranks and prefers the fp32 masters to half-precision copies.
    """
    from deepspeed.utils import safe_get_full_fp32_param

    # Copies, on a CPU too: what is returned must not change with the next step.
    weights = {
        name: tensor.detach().to("cpu", torch.float32, copy=True)
        for name, tensor in module.state_dict().items()
    }
    for name, parameter in module.named_parameters():
        full = safe_get_full_fp32_param(parameter) if parameter.requires_grad else _gathered(parameter)
        if full is not None:
            weights[name] = full.detach().float().cpu().reshape(full.shape).clone()
    return weights


def frozen_weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copies, in fp32 on the CPU, of what nothing trains; an engine in half precision rounds it for good."""
    return {
        name: weight.detach().to("cpu", torch.float32, copy=True)
        for name, weight in module.named_parameters()
        if not weight.requires_grad
    }


def _gathered(frozen: torch.nn.Parameter) -> torch.Tensor | None:
    """A weight that no optimiser knows, where ZeRO has spread it over the ranks; else None."""
    if not hasattr(frozen, "ds_id"):
        return None
    import deepspeed

    with deepspeed.zero.GatheredParameters([frozen]):
        return frozen.detach().clone()


def seed_step(seed: int, step: int, micro: int, rank: int) -> None:
    """Make dropout a pure function of (seed, step, micro-batch, rank), so that no RNG state is ever saved."""
    import numpy as np

    torch.manual_seed(int(np.random.SeedSequence([seed, step, micro, rank]).generate_state(1)[0]))


def on_any_rank(flag: bool, device: torch.device) -> bool:
    """Whether `flag` is set on any rank; every rank gets the same answer."""
    value = torch.tensor([int(flag)], device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())


def summed(values: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all ranks."""
    dist.all_reduce(values)
    return values
