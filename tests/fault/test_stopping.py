"""Runs that are stopped, hang, or cannot work at all."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import finetune, pretrain
from unimol2_tasks.training.job import Job, RunFolder, read_json
from unimol2_tasks.training.supervisor import supervise


def test_a_stopped_command_saves_its_last_step_and_goes_on_from_it(
    start: Any, long_params: Params, tiny_dataset: ArtifactRef, uninterrupted: dict[str, bytes]
) -> None:
    command = start("pretrain", "model", long_params)
    command.wait_for_step(10)
    inputs = pretrain.PretrainInputs(tiny_dataset.uri)
    with pytest.raises(UserError, match="another process is working on this very job"):
        pretrain.run(long_params, inputs, str(command.out))
    shown = command.run.live / "plots" / "metrics" / "train" / "loss.tsv"
    assert len(shown.read_text().splitlines()) > 5, "the curve can be watched while the run goes on"

    assert command.end_by(signal.SIGTERM) == 128 + signal.SIGTERM
    assert not command.out.exists()
    failure = read_json(command.run.failure)
    assert failure is not None
    assert failure["reason"] == "stopped"
    step = int(command.checkpoints[-1].removeprefix("step-"))
    assert failure["message"] == f"Stopped: stopped after step {step}"

    pretrain.run(long_params, inputs, str(command.out))
    assert command.files == uninterrupted


def test_a_run_that_hangs_shows_where_and_is_started_again(
    start: Any, long_params: Params, uninterrupted: dict[str, bytes]
) -> None:
    values = long_params.model_dump()
    values["supervision"] |= {"hang_seconds": 3.0, "max_restarts": 5}
    command = start("pretrain", "model", parse_params(values))
    command.wait_for_step(10)
    command.rank(1).suspend()
    # A suspended process can show nothing; the other rank waits for it in a collective operation.
    command.wait_until(lambda: "(most recent call first)" in command.log)
    command.wait_until(lambda: "unimol2_tasks/training/loop.py" in command.log)
    command.wait_until(lambda: "resumed from step-" in command.log)
    assert command.process.wait(120) == 0
    assert command.files == uninterrupted


def test_a_refusal_of_the_worker_is_told_once_and_not_retried(
    tmp_path: Path, tiny_params: Params, tiny_dataset: ArtifactRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []
    popen = subprocess.Popen

    def counted(*arguments: Any, **settings: Any) -> Any:
        starts.append(arguments)
        return popen(*arguments, **settings)

    monkeypatch.setattr(subprocess, "Popen", counted)
    values = tiny_params.model_dump()
    values["finetune"] |= {"targets": ["colour"]}
    params = parse_params(values)
    out = tmp_path / "predictor"
    with pytest.raises(UserError, match=r"no label column colour .*weight, aromatic, partial"):
        finetune.run(params, finetune.FinetuneInputs(tiny_dataset.uri, None), str(out))
    assert len(starts) == 1
    assert not out.exists()
    assert list((tmp_path / ".work").iterdir()) == [], "nobody will go on with a refused job"


def test_a_finished_job_is_not_run_again(tmp_path: Path, tiny_params: Params) -> None:
    run = RunFolder(tmp_path)
    run.result.mkdir()
    supervise(Job(kind="pretrain", dataset=tmp_path / "none", params=tiny_params), run, ranks=2)
    assert not run.log.exists()
