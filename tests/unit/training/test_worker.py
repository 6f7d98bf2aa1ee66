"""What a worker tells about its end."""

from pathlib import Path

import pytest

from unimol2_tasks.errors import ParameterError, TrainingDiverged
from unimol2_tasks.training import worker
from unimol2_tasks.training.job import RunFolder, Stopped, read_json


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrainingDiverged("valid/loss is nan"), "diverged"),
        (ParameterError("no such key"), "user error"),
        (Stopped("asked to"), "stopped"),
        (MemoryError("too much"), "out of memory"),
        (ConnectionResetError("a peer is gone"), "communication"),
        (ValueError("a bug"), "error"),
    ],
)
def test_the_reason_of_a_failure_says_what_to_do_about_it(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    run = RunFolder(tmp_path)
    worker._explain(run, error)
    failure = read_json(run.failure)
    assert failure is not None
    assert failure["reason"] == reason
    assert str(error) in failure["message"]
