"""What the supervisor sees of a long measuring."""

import json
from pathlib import Path

import pytest

from unimol2_tasks.training import heartbeat
from unimol2_tasks.training.job import RunFolder, write_json


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.0)
    return RunFolder(tmp_path)


def test_what_is_measured_stands_beside_the_last_step(run: RunFolder) -> None:
    write_json(run.heartbeat, {"step": 7, "steps": 9, "detail": "loss 0.1"})
    heartbeat.measuring(run, 300)(120)
    assert json.loads(run.heartbeat.read_text()) == {"step": 7, "steps": 9, "detail": "measuring 120 of 300"}


def test_a_measuring_before_the_first_step_is_no_step(run: RunFolder) -> None:
    heartbeat.measuring(run, 300)(320)
    assert json.loads(run.heartbeat.read_text()) == {"step": -1, "steps": 0, "detail": "measuring 300 of 300"}


def test_it_is_told_now_and_then(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 3600.0)
    heartbeat.measuring(run, 300)(120)
    assert not run.heartbeat.exists()
