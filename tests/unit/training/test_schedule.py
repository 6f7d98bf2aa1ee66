"""The laws of the learning rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unimol2_tasks.training.schedule import learning_rate_factor

warmups = st.integers(0, 50)
decays = st.integers(1, 200)


@given(warmup=warmups, decay=decays)
def test_rises_in_equal_steps_to_the_peak_and_falls_in_equal_steps_to_zero(warmup: int, decay: int) -> None:
    total = warmup + decay
    rates = [learning_rate_factor(step, warmup, total) for step in range(total + 1)]
    rising, falling = rates[:warmup], rates[warmup:]
    assert rising == pytest.approx([(step + 1) / warmup for step in range(warmup)])
    assert falling == pytest.approx([1 - step / decay for step in range(decay + 1)])
    assert max(rates) == 1.0
    assert rates[-1] == 0.0


@given(step=st.integers(0, 300), warmup=warmups, decay=decays)
def test_every_step_that_is_taken_learns_something(step: int, warmup: int, decay: int) -> None:
    total = warmup + decay
    rate = learning_rate_factor(step, warmup, total)
    assert 0 < rate <= 1 if step < total else rate == 0


def test_without_warmup_the_first_step_has_the_peak_rate() -> None:
    assert learning_rate_factor(0, 0, 10) == 1.0


def test_a_run_shorter_than_its_warmup_only_rises() -> None:
    assert [learning_rate_factor(step, 4, 2) for step in range(2)] == [0.25, 0.5]
