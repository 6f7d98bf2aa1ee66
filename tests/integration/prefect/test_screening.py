"""A library that is predicted by several workers gives the bytes of one, whoever dies."""

import signal
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.integration.prefect.projects import Project, Worker
from unimol2_flows.screen import Workers, screen
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params
from unimol2_tasks.stages import predict as stage


@pytest.fixture(scope="module")
def params(tiny_params: Params) -> Params:
    units = tiny_params.predict.model_copy(update={"unit_rows": 7})
    prepare = tiny_params.prepare.model_copy(update={"workers": 1})
    return tiny_params.model_copy(update={"predict": units, "prepare": prepare})


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, tiny_table: Path, tiny_predictor: ArtifactRef, params: Params
) -> bytes:
    """What one machine predicts."""
    out = tmp_path_factory.mktemp("alone") / "predictions.csv"
    stage.run(params, stage.PredictInputs(tiny_predictor.uri, str(tiny_table)), str(out))
    return out.read_bytes()


@pytest.mark.usefixtures("prefect_home")
def test_shards_of_this_machine_give_the_same_bytes(
    tmp_path: Path, tiny_table: Path, tiny_predictor: ArtifactRef, params: Params, alone: bytes
) -> None:
    out = tmp_path / "predictions.csv"
    screen(tiny_predictor.uri, str(tiny_table), str(out), params, workers=Workers(units=2))
    assert out.read_bytes() == alone
    assert len(alone.splitlines()) == 41
    assert not (tmp_path / ".work").exists()


class Killer:
    """Kills the first run of a worker as soon as it works."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.killed = 0

    def strike(self) -> None:
        """Wait for a run and kill its process, as the kernel does when memory ends."""
        deadline = time.monotonic() + 600
        while not self.killed and time.monotonic() < deadline:
            for process in self.worker.tree():
                if "prefect" in " ".join(process.cmdline()) and process.ppid() == self.worker.process.pid:
                    process.send_signal(signal.SIGKILL)
                    self.killed = process.pid
                    break
            time.sleep(0.1)


def test_a_dead_workers_shard_is_repeated_and_the_others_are_not(
    project: Project,
    tiny_table: Path,
    tiny_predictor: ArtifactRef,
    params: Params,
    alone: bytes,
    run_in_background: Any,
) -> None:
    project.deploy("screen-shard")
    killer = Killer(project.start_worker("--limit", "1"))
    out = project.folder / "predictions.csv"
    workers = Workers(deployment="unimol2-screen-shard/screen-shard", units=3, at_a_time=1)
    with temporary_settings({PREFECT_API_URL: project.environment["PREFECT_API_URL"]}):
        striking = run_in_background(killer.strike)
        screen(tiny_predictor.uri, str(tiny_table), str(out), params, workers=workers)
        striking.join()
    assert killer.killed
    assert not psutil.pid_exists(killer.killed)
    assert out.read_bytes() == alone
    found = project.runs("screen-shard")
    with httpx.Client(base_url=project.environment["PREFECT_API_URL"]) as client:
        screenings = {
            f"screen-{run['id']}"
            for run in client.post("/flow_runs/filter", json={}).json()
            if run["name"].startswith(f"screen {tiny_table}") and str(out) in str(run["parameters"])
        }
    assert len(screenings) == 2, "the flow and the one below it; whichever is cancelled finds its shards"
    assert all(screenings <= set(run["tags"]) for run in found)
    runs = sorted((run["name"], run["state_name"]) for run in found)
    assert runs == [
        ("rows 1 to 21", "Completed"),
        ("rows 1 to 21", "Crashed"),
        ("rows 22 to 42", "Completed"),
    ]
