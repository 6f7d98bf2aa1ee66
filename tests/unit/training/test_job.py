import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from unimol2_tasks.params import Params
from unimol2_tasks.training.job import Job, RunFolder, read_json, write_json


def test_a_job_reaches_the_worker_as_it_was_given(tiny_params: Params) -> None:
    job = Job(kind="pretrain", dataset=Path("data set"), params=tiny_params)
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_a_job_of_another_version_is_refused(tiny_params: Params) -> None:
    values = json.loads(Job(kind="embed", dataset=Path(), params=tiny_params).model_dump_json())
    with pytest.raises(ValidationError, match="colour"):
        Job.model_validate({**values, "colour": "red"})


def test_the_result_appears_whole(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.finishing() as folder:
        (folder / "model").write_text("weights")
        assert not run.result.exists()
    assert (run.result / "model").read_text() == "weights"


def _fail(run: RunFolder) -> None:
    with run.finishing() as folder:
        (folder / "model").write_text("half")
        raise KeyboardInterrupt


def test_a_failed_result_never_appears_and_does_not_hinder_the_next(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _fail(run)
    assert not run.result.exists()
    with run.finishing() as folder:
        assert not list(folder.iterdir())
    assert run.result.is_dir()


def test_small_files_are_replaced_and_leave_nothing_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    assert read_json(path) is None
    write_json(path, {"step": 1})
    write_json(path, {"step": 2})
    assert read_json(path) == {"step": 2}
    assert list(tmp_path.iterdir()) == [path]
