"""What a worker tells about its end."""

from pathlib import Path

import pytest

from unimol2_tasks.errors import ParameterError, TrainingDiverged
from unimol2_tasks.params import Params
from unimol2_tasks.training import engine, worker
from unimol2_tasks.training.job import Job, RunFolder, Stopped, read_json


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


def test_a_rank_that_stops_says_so_before_the_others_can_fail_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise Stopped("stopped after step 2")

    def leave() -> None:
        raise ConnectionResetError("a peer is gone")

    monkeypatch.setattr(worker, "_run_kind", stop)
    monkeypatch.setattr(engine, "leave_distributed", leave)
    run = RunFolder(tmp_path)
    job = Job(kind="pretrain", dataset=Path(), model=None, params=Params())
    with pytest.raises(ConnectionResetError) as error:
        worker._run(job, run, worker.StopRequest())
    worker._explain(run, error.value)
    failure = read_json(run.failure)
    assert failure is not None
    assert failure["reason"] == "stopped"
