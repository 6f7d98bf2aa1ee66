"""The DeepSpeed configuration, generated from `params.yaml`."""

from typing import Any

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import TrainingParams


def deepspeed_config(params: TrainingParams) -> dict[str, Any]:
    """What `deepspeed.initialize` is given; the user's own `deepspeed:` section is merged on top.

    The optimiser is built by the engine and handed over, so it is no part of this.
    """
    config: dict[str, Any] = {
        "train_batch_size": params.batch_size,
        "train_micro_batch_size_per_gpu": params.micro_batch,
        "gradient_accumulation_steps": params.accumulation,
        "gradient_clipping": params.clip,
        "zero_optimization": {"stage": params.zero_stage},
        "bf16": {"enabled": params.precision == "bf16"},
        "fp16": {"enabled": params.precision == "fp16"},
        "wall_clock_breakdown": False,
        "steps_per_print": 10**9,
    }
    return _merge(config, params.deepspeed)


def refuse_unsupported(params: TrainingParams, accelerator: str) -> None:
    """Refuse what DeepSpeed cannot do on this machine before any process starts.

    Raises:
        ParameterError: Names the key and the reason.
    """
    if accelerator == "cpu" and params.precision == "fp16":
        raise ParameterError("precision: fp16 needs a GPU (DeepSpeed refuses it on CPU); use bf16 or fp32")
    if params.precision == "fp32" and params.zero_stage == 0 and "bf16" in params.deepspeed:
        raise ParameterError("deepspeed.bf16: set `precision: bf16` instead")


def _merge(base: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
