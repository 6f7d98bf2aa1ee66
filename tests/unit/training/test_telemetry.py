import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from unimol2_tasks.params import TrainingParams
from unimol2_tasks.training import telemetry
from unimol2_tasks.training.telemetry import Telemetry, peak_memory, peak_tflops

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still until it is told otherwise."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(telemetry, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def _measured(clock: Any, peak: float | None = None) -> Telemetry:
    """Two steps of 8 molecules in 10 s, 1 s of it waiting; then 30 s of validation and 20 s of saving."""
    measured = Telemetry(CPU, peak, ranks=2)
    clock.now += 500.0
    measured.start()
    for _ in range(2):
        with measured.during("waiting"):
            clock.now += 0.5
        clock.now += 4.5
        measured.count(8, 3e12)
    with measured.during("validating"):
        clock.now += 30.0
    with measured.during("saving"):
        clock.now += 20.0
    return measured


def test_rates_are_those_of_training_without_the_rest(clock: Any) -> None:
    figures = _measured(clock, peak=1.2).total()
    assert figures["molecules_per_second"] == pytest.approx(1.6)
    assert figures["molecules_per_second_per_rank"] == pytest.approx(0.8)
    assert figures["step_seconds"] == pytest.approx(5.0)
    assert figures["tflops"] == pytest.approx(0.6)
    assert figures["share_of_peak"] == pytest.approx(0.5)


def test_shares_say_where_the_time_went(clock: Any) -> None:
    figures = _measured(clock).total()
    assert figures["data_wait_share"] == pytest.approx(0.1)
    assert figures["validation_share"] == pytest.approx(0.5)
    assert figures["checkpoint_share"] == pytest.approx(1 / 3)
    assert "share_of_peak" not in figures


def test_recent_figures_begin_where_the_last_ended(clock: Any) -> None:
    measured = _measured(clock)
    measured.recent()
    clock.now += 2.0
    measured.count(8, 1e12)
    assert measured.recent()["molecules_per_second"] == pytest.approx(4.0)
    assert measured.total()["molecules_per_second"] == pytest.approx(2.0)


def test_on_a_cpu_memory_is_the_most_that_the_process_took() -> None:
    before = peak_memory(CPU)
    assert before > 0
    kept = torch.ones(before // 2)
    assert peak_memory(CPU) > before + kept.nbytes // 2


@pytest.mark.parametrize(("given", "expected"), [(None, None), (2.5, 2.5)])
def test_of_a_cpu_the_peak_is_known_only_where_it_is_given(
    given: float | None, expected: float | None
) -> None:
    assert peak_tflops(TrainingParams(batch_size=2, precision="bf16", peak_tflops=given), CPU) == expected


def test_real_time_passes() -> None:
    measured = Telemetry(CPU, None, ranks=1)
    measured.start()
    time.sleep(0.01)
    measured.count(1, 0.0)
    assert 0 < measured.total()["molecules_per_second"] <= 100
