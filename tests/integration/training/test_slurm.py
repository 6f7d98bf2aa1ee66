"""A real pretraining through the Slurm launcher, on two nodes that are this machine, to its model."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from slurm_cluster import SlurmCluster

from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import pretrain
from unimol2_tasks.training.job import RunFolder, read_json


def on_slurm(params: Params, **training: Any) -> Params:
    values = params.model_dump()
    values["pretrain"] |= training
    values["launch"] |= {
        "launcher": "slurm", "nodes": 2, "gpus_per_node": 0, "time_limit": 1.0, "poll_seconds": 0.5,
        "environment": {"OMP_NUM_THREADS": "1"},
    }  # fmt: skip
    return parse_params(values)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def test_a_run_that_meets_its_time_limit_goes_on_in_a_second_job_to_the_model_of_a_local_run(
    cluster: SlurmCluster, tmp_path: Path, tiny_params: Params, tiny_dataset: ArtifactRef
) -> None:
    values = tiny_params.model_dump()
    values["pretrain"] |= {"steps": 90, "checkpoint_every": 1000}
    params = parse_params(values)
    inputs = pretrain.PretrainInputs(str(Path(tiny_dataset.uri).absolute()))
    cluster.set(notice_at_step=1)
    ref = pretrain.run(on_slurm(params), inputs, str(tmp_path / "model"))
    first, second = cluster.jobs
    assert (first.known("ended"), second.known("ended")) == ("FAILED", "COMPLETED")
    assert cluster.processes() == []
    pretrain.run(params, inputs, str(tmp_path / "local"))
    assert files(Path(ref.uri)) == files(tmp_path / "local")


def test_a_job_outlives_its_command_and_is_followed_and_stopped_by_the_next(
    cluster: SlurmCluster, tmp_path: Path, tiny_params: Params, tiny_dataset: ArtifactRef
) -> None:
    settings, out = tmp_path / "params.yaml", tmp_path / "model"
    params = on_slurm(tiny_params, steps=100_000, checkpoint_every=100_000)
    settings.write_text(yaml.safe_dump(params.model_dump(mode="json")))
    command = [sys.executable, "-m", "unimol2_tasks.cli", "pretrain", "--dataset", tiny_dataset.uri]
    command += ["--out", str(out), "--params", str(settings)]

    with subprocess.Popen(command) as killed:
        until(lambda: cluster.jobs and cluster.jobs[0].known("task-0") is not None)
        killed.kill()
    with subprocess.Popen(command) as following:
        (folder,) = (tmp_path / ".work").iterdir()
        run = RunFolder(folder)
        until(lambda: step(run) > 0)
        following.terminate()
        assert following.wait(120) == 128 + signal.SIGTERM
    assert len(cluster.jobs) == 1
    assert cluster.processes() == []
    checkpoint = max(run.checkpoints.glob("step-*"))
    failure = read_json(run.failure)
    assert failure is not None
    assert failure["message"] == f"Stopped: stopped after step {int(checkpoint.name.removeprefix('step-'))}"
    assert not out.exists()


def step(run: RunFolder) -> int:
    beat = read_json(run.heartbeat)
    return 0 if beat is None else int(beat["step"])


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
