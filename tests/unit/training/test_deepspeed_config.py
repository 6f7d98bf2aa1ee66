import json
from typing import Any

import pytest

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import TrainingParams
from unimol2_tasks.training.deepspeed_config import deepspeed_config, refuse_unsupported


def _params(**values: Any) -> TrainingParams:
    return TrainingParams(**{"batch_size": 16, "ranks": 2, **values})


def test_batch_sizes_agree_with_each_other_as_deepspeed_demands() -> None:
    config = deepspeed_config(_params(micro_batch_size=2))
    assert config["train_micro_batch_size_per_gpu"] == 2
    assert config["gradient_accumulation_steps"] == 4
    assert config["train_batch_size"] == 2 * 4 * 2


def test_what_params_say_is_what_deepspeed_is_told() -> None:
    config = deepspeed_config(_params(zero_stage=2, precision="bf16", clip=0.5))
    assert config["zero_optimization"]["stage"] == 2
    assert config["bf16"]["enabled"]
    assert not config["fp16"]["enabled"]
    assert config["gradient_clipping"] == 0.5
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize(("precision", "stage"), [("fp32", 0), ("bf16", 1), ("fp16", 1)])
def test_half_precision_without_zero_becomes_zero_1(precision: str, stage: int) -> None:
    assert deepspeed_config(_params(precision=precision))["zero_optimization"]["stage"] == stage


def test_the_users_section_is_merged_on_top_key_by_key() -> None:
    own = {"zero_optimization": {"overlap_comm": False}, "bf16": {"check_grad_overflow": True}, "seed": 1}
    config = deepspeed_config(_params(zero_stage=3, precision="bf16", deepspeed=own))
    assert config["zero_optimization"] == {"stage": 3, "overlap_comm": False}
    assert config["bf16"] == {"enabled": True, "check_grad_overflow": True}
    assert config["seed"] == 1


def test_the_users_section_itself_stays_as_it_was() -> None:
    params = _params(deepspeed={"zero_optimization": {"overlap_comm": False}})
    deepspeed_config(params)
    assert params.deepspeed == {"zero_optimization": {"overlap_comm": False}}


def test_fp16_is_refused_on_a_cpu_and_says_what_to_choose() -> None:
    with pytest.raises(ParameterError, match=r"precision: fp16 needs a GPU.*bf16 or fp32"):
        refuse_unsupported(_params(precision="fp16"), "cpu")
    refuse_unsupported(_params(precision="fp16"), "cuda")


@pytest.mark.parametrize(
    ("section", "own"),
    [
        ({"train_batch_size": 4}, "batch_size"),
        ({"gradient_accumulation_steps": 2}, "micro_batch_size"),
        ({"bf16": {"enabled": True}}, "precision"),
        ({"optimizer": {"type": "Adam"}}, "learning_rate"),
        ({"scheduler": {"type": "OneCycle"}}, "warm-up"),
    ],
)
def test_a_key_that_params_already_decide_is_refused_with_the_one_to_set(
    section: dict[str, Any], own: str
) -> None:
    with pytest.raises(ParameterError, match=rf"deepspeed\.{next(iter(section))}.*{own}"):
        refuse_unsupported(_params(deepspeed=section), "cpu")
