"""Weights, gradients and Adam's state: the arithmetic of ZeRO, and what DeepSpeed was seen to keep."""

import pytest

from unimol2_tasks.planning.states import Precision, state_memory

PARAMETERS = 7_061_664
BUCKET = 500_000


# Bytes per parameter of all live tensors after a backward pass: DeepSpeed 0.19.8 on gloo, in this engine.
@pytest.mark.parametrize(
    ("precision", "stage", "ranks", "seen"),
    [
        ("fp32", 0, 1, 16.00),
        ("fp32", 1, 2, 14.28),
        ("fp32", 2, 2, 12.06),
        ("fp32", 3, 2, 10.65),
        ("bf16", 1, 2, 10.14),
        ("bf16", 2, 2, 9.03),
        ("bf16", 3, 2, 8.32),
    ],
)
def test_the_count_is_what_deepspeed_was_seen_to_keep(
    precision: Precision, stage: int, ranks: int, seen: float
) -> None:
    # By then, the gathered weights of ZeRO 3 are gone, save the small ones, which it never divides.
    zero = {"reduce_bucket_size": BUCKET, "stage3_max_live_parameters": 0}
    states = state_memory(PARAMETERS, precision, stage, ranks, zero=zero)
    assert states.kept / PARAMETERS == pytest.approx(seen, rel=0.04)


def test_without_zero_every_rank_keeps_sixteen_bytes_per_parameter() -> None:
    one, many = (state_memory(1000, "fp32", 0, ranks) for ranks in (1, 64))
    assert one == many
    assert one.kept == 16_000


@pytest.mark.parametrize(
    ("stage", "kept"), [(1, 2 + 2 + 12 / 8), (2, 2 + (2 + 12) / 8), (3, (2 + 2 + 12) / 8)]
)
def test_each_stage_shares_out_one_thing_more(stage: int, kept: float) -> None:
    zero = {"reduce_bucket_size": 0, "stage3_max_live_parameters": 0}
    assert state_memory(8000, "bf16", stage, 8, zero=zero).kept == kept * 8000


def test_offload_moves_adams_state_and_the_masters_to_the_host() -> None:
    here, there = (state_memory(8000, "bf16", 2, 8, offload=offload) for offload in (False, True))
    assert (there.masters, there.moments, there.step) == (0, 0, 0)
    assert there.host >= here.masters + here.moments
    assert there.kept < here.kept
    assert here.host == 0


def test_zero_3_keeps_what_it_has_gathered_up_to_a_limit() -> None:
    unlimited = state_memory(8000, "bf16", 3, 8)
    limited = state_memory(8000, "bf16", 3, 8, zero={"stage3_max_live_parameters": 500})
    assert (unlimited.weights, limited.weights) == (2 * (1000 + 8000), 2 * (1000 + 500))


def test_buckets_are_as_large_as_the_configuration_says() -> None:
    assert state_memory(8000, "bf16", 1, 1).buckets == 2 * 500_000_000
    assert state_memory(8000, "bf16", 1, 1, zero={"reduce_bucket_size": 7}).buckets == 14
    assert (
        state_memory(8000, "bf16", 1, 1, zero={"reduce_bucket_size": 7, "overlap_comm": True}).buckets == 28
    )


def test_a_moving_average_takes_a_share_and_a_network() -> None:
    with_it, without = (state_memory(8000, "bf16", 1, 8, averaged=averaged) for averaged in (True, False))
    assert with_it.kept - without.kept == 4 * 1000 + 2 * 8000
