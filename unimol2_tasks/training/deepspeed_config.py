"""The DeepSpeed configuration, generated from `params.yaml`."""

from typing import Any

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import TrainingParams

# Keys of DeepSpeed's that the loop or the engine decides; a second value would be ignored or break them.
_DECIDED_ELSEWHERE = {
    "train_batch_size": "batch_size",
    "train_micro_batch_size_per_gpu": "micro_batch_size",
    "gradient_accumulation_steps": "micro_batch_size",
    "bf16.enabled": "precision",
    "fp16.enabled": "precision",
    "gradient_clipping": "clip",
    "zero_optimization.stage": "zero_stage",
    "zero_optimization.offload_optimizer": "offload_optimizer",
    "checkpoint.load_universal": "nothing: checkpoints of other ranks are converted",
    "optimizer": "learning_rate, betas, eps and weight_decay",
    "scheduler": "learning_rate and the warm-up",
}


def deepspeed_config(params: TrainingParams) -> dict[str, Any]:
    """What `deepspeed.initialize` is given; the user's own `deepspeed:` section is merged on top.

    The optimiser is built by the engine and handed over, so it is no part of this.
    """
    config: dict[str, Any] = {
        "train_batch_size": params.batch_size,
        "train_micro_batch_size_per_gpu": params.micro_batch,
        "gradient_accumulation_steps": params.accumulation,
        # Without ZeRO the optimiser clips, together with its look for gradients that are not finite.
        "gradient_clipping": params.clip if zero_stage(params) else 0.0,
        "zero_optimization": _zero(params),
        "bf16": {"enabled": params.precision == "bf16"},
        # Over many ranks, sums in bf16 would lose what its eight bits cannot hold.
        **({"communication_data_type": "fp32"} if params.precision == "bf16" else {}),
        "fp16": {"enabled": params.precision == "fp16"},
        # AdamW is torch's own also where its state is offloaded: DeepSpeed's needs a compiler.
        "zero_force_ds_cpu_optimizer": False,
        "wall_clock_breakdown": False,
        "steps_per_print": 10**9,
    }
    return _merge(config, params.deepspeed)


def refuse_unsupported(params: TrainingParams, accelerator: str) -> None:
    """Refuse what DeepSpeed cannot do on this machine.

    Raises:
        ParameterError: Names the key and the reason.
    """
    refuse_contradictions(params)
    if accelerator == "cpu" and params.precision == "fp16":
        raise ParameterError("precision: fp16 needs a GPU (DeepSpeed refuses it on CPU); use bf16 or fp32")


def refuse_contradictions(params: TrainingParams) -> None:
    """Refuse what DeepSpeed can do nowhere, before any process starts.

    Raises:
        ParameterError: Names the key and the reason.
    """
    if params.offload_optimizer and zero_stage(params) == 0:
        raise ParameterError("offload_optimizer: needs ZeRO; set zero_stage to 1, 2 or 3")
    for key, own in _DECIDED_ELSEWHERE.items():
        section, _, inner = key.partition(".")
        given = params.deepspeed.get(section, {})
        if inner and not isinstance(given, dict):
            raise ParameterError(f"deepspeed.{section}: expected keys and values, got {given!r}")
        if section in params.deepspeed and (not inner or inner in given):
            raise ParameterError(f"deepspeed.{key}: cannot be set here; set {own} instead")


def _zero(params: TrainingParams) -> dict[str, Any]:
    offload = {"offload_optimizer": {"device": "cpu"}} if params.offload_optimizer else {}
    return {"stage": zero_stage(params), **offload}


def zero_stage(params: TrainingParams) -> int:
    """ZeRO 1 in place of 0 in half precision.

    Without ZeRO, DeepSpeed takes an older loss-scaling optimiser there, whose losses differ and which does
    not hand out its fp32 weights; the mathematics of both stages are the same.
    """
    return params.zero_stage if params.precision == "fp32" else max(1, params.zero_stage)


def _merge(base: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
