"""Warnings of the ranks reach whoever started them."""

from pathlib import Path

import pytest

from unimol2_tasks.training.worker_warnings import WorkerWarnings

BEFORE = "2026-01-01 00:00:00,000 WARNING unimol2_tasks.training.checkpoints: told by an earlier start\n"
MIXED = (
    "2026-01-01 00:00:01,000 WARNING unimol2_tasks.training.target_choice: label toxic: 1 value\n"
    "2026-01-01 00:00:01,100 WARNING unimol2_tasks.training.target_choice: label toxic: 1 value\n"
    # As `srun --label` passes on what the second node says.
    "1: 2026-01-01 00:00:01,100 WARNING unimol2_tasks.training.target_choice: label toxic: 1 value\n"
    "1: 2026-01-01 00:00:01,100 WARNING unimol2_tasks.training.checkpoints: removed\n"
    "2026-01-01 00:00:01,200 INFO unimol2_tasks.training.loop: step 1\n"
    "2026-01-01 00:00:01,300 WARNING torch.distributed: chatter\n"
)
LATE = "2026-01-01 00:00:02,000 WARNING unimol2_tasks.training.checkpoints: passed over\n"


def test_new_warnings_of_ours_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = tmp_path / "worker.log"
    log.write_text(BEFORE)
    warnings = WorkerWarnings(log)
    with log.open("a") as stream:
        for text in (MIXED, LATE[:40], LATE[40:]):
            stream.write(text)
            stream.flush()
            warnings.tell()
    assert caplog.messages == ["label toxic: 1 value", "removed", "passed over"]


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    warnings = WorkerWarnings(tmp_path / "worker.log")
    warnings.tell()
    (tmp_path / "worker.log").write_text(LATE)
    warnings.tell()
    assert caplog.messages == ["passed over"]
