"""What a person sees of long work where there is no terminal: the log of a batch job, a file."""

import logging

import pytest

from unimol2_tasks import console
from unimol2_tasks.console import progress_bars
from unimol2_tasks.progress import report


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that tests set; it stands for minutes of work."""
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "unimol2_tasks"), progress_bars():
        for second in range(0, 150, 5):
            clock[0] = second
            report("conformers", second, 2000)
            report("pretrain", second, detail="loss 1.5")
    assert caplog.messages == [
        "conformers: 60 of 2,000",
        "pretrain: 60, loss 1.5",
        "conformers: 120 of 2,000",
        "pretrain: 120, loss 1.5",
    ]


def test_a_terminal_has_its_bars(
    clock: list[float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.console, "_force_terminal", True)
    with caplog.at_level(logging.INFO, "unimol2_tasks"), progress_bars():
        report("conformers", 0, 10)
        clock[0] = 100
        report("conformers", 5, 10)
    assert not caplog.messages
