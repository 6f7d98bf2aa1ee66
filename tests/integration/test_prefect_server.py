import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from unimol2_tasks.artifacts.store import Store

PREFECT = Path(sys.executable).with_name("prefect")
FLOWS = ["end-to-end", "evaluate", "finetune", "predict", "prepare", "pretrain", "reproduce", "scaling"]


@pytest.fixture
def server(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A Prefect server of its own, which commands use too; gives a client of its API."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    command = [str(PREFECT), "server", "start", "--host", "127.0.0.1", "--port", str(free_port)]
    log = tmp_path / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
    api = f"http://127.0.0.1:{free_port}/api"
    monkeypatch.setenv("PREFECT_API_URL", api)
    try:
        with httpx.Client(base_url=api, timeout=30) as client:
            _wait_until(lambda: _is_healthy(client, process, log), "the server answers")
            yield client
    finally:
        _end(process)


@pytest.fixture
def project(tmp_path: Path, project_root: Path, tiny_table: Path) -> Path:
    """A folder with the project's flows, their deployments and a table where these expect it."""
    project = tmp_path / "project"
    (project / "data" / "demo").mkdir(parents=True)
    shutil.copytree(project_root / "flows", project / "flows")
    shutil.copy(project_root / "prefect.yaml", project)
    shutil.copy(tiny_table, project / "data" / "demo" / "molecules.csv")
    return project


def test_every_flow_is_deployed_and_a_worker_runs_one(
    server: httpx.Client, project: Path, run_command: Callable[..., Any]
) -> None:
    run_command("prefect", "work-pool", "create", "unimol2", "--type", "process", cwd=project)
    run_command("prefect", "--no-prompt", "deploy", "--all", cwd=project)
    deployments = {entry["name"]: entry for entry in server.post("/deployments/filter", json={}).json()}
    assert sorted(deployments) == FLOWS
    assert all(entry["description"] and entry["tags"] == ["unimol2"] for entry in deployments.values())
    (nightly,) = deployments["end-to-end"]["schedules"]
    assert nightly["schedule"]["cron"] == "0 2 * * *"
    assert nightly["active"] is False
    limits = {name: entry["global_concurrency_limit"] for name, entry in deployments.items()}
    one_at_a_time = {name for name, limit in limits.items() if limit is not None and limit["limit"] == 1}
    assert one_at_a_time == {"end-to-end", "finetune", "pretrain", "reproduce", "scaling"}
    assert deployments["pretrain"]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"

    settings = json.dumps({"prepare": {"conformers": 1, "split": "random"}})
    run_command(
        *("prefect", "deployment", "run", "unimol2-prepare/prepare", "--param", f"params={settings}"),
        cwd=project,
    )
    run_command("prefect", "worker", "start", "--pool", "unimol2", "--run-once", cwd=project)
    (run,) = server.post("/flow_runs/filter", json={}).json()
    assert run["state_name"] == "Completed"
    assert run["name"] == "prepare data/demo/molecules.csv"
    dataset = Store().fetch(str(project / "runs" / "prepare"), "dataset")
    assert dataset.manifest.rows is not None
    assert dataset.manifest.rows.out == 40
    assert dataset.manifest.params["conformers"] == 1


def _is_healthy(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return client.get("/health").is_success
    except httpx.TransportError:
        return False


def _wait_until(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{seconds:.0f} s passed before {what}"
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the server and everything it started."""
    tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    process.terminate()
    _, alive = psutil.wait_procs(tree, timeout=15)
    for left in alive:
        left.kill()
    psutil.wait_procs(alive, timeout=5)
    process.wait()
    assert not any(part.is_running() for part in tree)
