"""What an interrupted run may be continued with."""

import pytest

from unimol2_tasks.params import FinetuneParams, PretrainParams
from unimol2_tasks.training.continuation import (
    MOVES_WORK,
    WITHOUT_EFFECT,
    determining,
    identifying,
    settings_used,
)


def test_what_only_moves_work_is_named_but_does_not_make_another_run() -> None:
    one = PretrainParams(ranks=1, zero_stage=0, micro_batch_size=8, log_every=10)
    other = PretrainParams(ranks=8, zero_stage=2, micro_batch_size=4, log_every=50)
    assert identifying(one) == identifying(other)
    assert determining(one) != determining(other)
    assert determining(other)["ranks"] == 8


def test_what_changes_nothing_is_not_even_named() -> None:
    one = PretrainParams()
    other = PretrainParams(checkpoint_every=7, keep_checkpoints=1, loader_workers=3, tensorboard="runs")
    assert determining(one) == determining(other)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"batch_size": 512},
        {"steps": 20_000},
        {"precision": "bf16"},
        {"ema_decay": 0.999},
        {"deepspeed": {"zero_optimization": {"overlap_comm": True}}},
    ],
)
def test_what_sets_the_result_makes_another_run(change: dict[str, object]) -> None:
    assert identifying(PretrainParams.model_validate(change)) != identifying(PretrainParams())


def test_every_name_is_a_parameter_of_both_kinds_of_training() -> None:
    for params in (PretrainParams, FinetuneParams):
        assert set(params.model_fields) >= WITHOUT_EFFECT | MOVES_WORK
    assert not WITHOUT_EFFECT & MOVES_WORK


def test_the_history_says_which_settings_were_used_since_which_step() -> None:
    two, four = PretrainParams(ranks=2), PretrainParams(ranks=4)
    history = settings_used([], 0, two)
    assert settings_used(history, 30, two) == history
    history = settings_used(history, 40, four)
    assert [(entry["from_step"], entry["ranks"]) for entry in history] == [(0, 2), (40, 4)]


def test_settings_that_took_no_step_are_not_in_the_history() -> None:
    two, four = PretrainParams(ranks=2), PretrainParams(ranks=4)
    history = settings_used(settings_used([], 0, two), 0, four)
    assert [(entry["from_step"], entry["ranks"]) for entry in history] == [(0, 4)]
