"""Which checkpoints another number of ranks or another ZeRO stage can go on from."""

import pytest

from unimol2_tasks.errors import UserError
from unimol2_tasks.training.universal import Layout, needs_conversion


@pytest.mark.parametrize("stage", range(4))
def test_the_same_layout_needs_nothing(stage: int) -> None:
    assert not needs_conversion(Layout(4, stage), Layout(4, stage))


def test_without_zero_any_number_of_ranks_loads_it_as_it_is() -> None:
    assert not needs_conversion(Layout(8, 0), Layout(1, 0))


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_partitions_are_converted_for_another_number_of_ranks(stage: int) -> None:
    assert needs_conversion(Layout(2, stage), Layout(3, stage))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_stages_1_and_2_read_each_other(before: int, after: int) -> None:
    assert not needs_conversion(Layout(2, before), Layout(2, after))
    assert needs_conversion(Layout(2, before), Layout(1, after))


@pytest.mark.parametrize(
    ("before", "after", "advice"),
    [(0, 1, "0"), (1, 0, "1 or 2"), (0, 3, "0"), (3, 0, "3"), (2, 3, "1 or 2"), (3, 1, "3")],
)
def test_what_deepspeed_cannot_convert_is_refused_with_the_stage_to_set(
    before: int, after: int, advice: str
) -> None:
    with pytest.raises(
        UserError, match=f"made by 2 ranks at ZeRO stage {before}.*set zero_stage to {advice},"
    ):
        needs_conversion(Layout(2, before), Layout(1, after))
