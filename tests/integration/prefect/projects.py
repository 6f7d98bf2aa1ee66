"""Deployments on a real server, workers that live and die, and runs that are watched."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.integration.prefect_servers import BIN

POOL = "unimol2"
_PATIENCE_SECONDS = 600.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = _PATIENCE_SECONDS) -> Any:
    """Wait for something and return it; fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.2)
    return found


@dataclass
class Worker:
    """A `prefect worker start` of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def tree(self) -> list[psutil.Process]:
        """Everything that it has started and that still lives."""
        return [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if child.status() != psutil.STATUS_ZOMBIE
        ]

    def end(self, number: int) -> None:
        """Send a signal and wait for its end."""
        self.process.send_signal(number)
        self.process.wait(60)


@dataclass
class Project:
    """A folder from which flows are deployed, and the server that knows them."""

    folder: Path
    client: httpx.Client
    environment: dict[str, str]
    workers: list[Worker] = field(default_factory=list)

    def prefect(self, *words: str) -> str:
        """Run a command of Prefect's; gives what it prints."""
        done = subprocess.run(
            [str(BIN / "prefect"), *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, name: str) -> None:
        """Deploy one flow as `prefect.yaml` says."""
        self.prefect("--no-prompt", "deploy", "--name", name)

    def start_worker(self, *options: str) -> Worker:
        """Start a worker of all queues, which asks for work every second."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [str(BIN / "prefect"), "worker", "start", "--pool", POOL, *options],
                cwd=self.folder,
                env=self.environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(Worker(process, log))
        return self.workers[-1]

    def deployment(self, name: str) -> dict[str, Any]:
        """What the server knows of a deployment."""
        found = self.client.post("/deployments/filter", json={"deployments": {"name": {"any_": [name]}}})
        return dict(found.json()[0])

    def start_run(self, deployment: str, parameters: dict[str, Any]) -> str:
        """Create a run; gives its id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        address = f"/deployments/{self.deployment(deployment)['id']}/create_flow_run"
        return str(self.client.post(address, json=body).raise_for_status().json()["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """What the server knows of a run."""
        return dict(self.client.get(f"/flow_runs/{run_id}").json())

    def state(self, run_id: str) -> str:
        """The name of a run's state."""
        return str(self.run(run_id)["state_name"])

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """All runs of a deployment, oldest due first."""
        wanted = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return list(self.client.post("/flow_runs/filter", json=wanted).json())

    def task_states(self, run_id: str) -> list[str]:
        """Names of the states of a run's tasks."""
        wanted = {"flow_runs": {"id": {"any_": [run_id]}}}
        return [entry["state_name"] for entry in self.client.post("/task_runs/filter", json=wanted).json()]


@contextmanager
def deployed_from(folder: Path, api: str, source: Path, table: Path) -> Iterator[Project]:
    """The flows of a source tree in a folder of its own, with a table of molecules.

    Workers and all that they started end with it.
    """
    (folder / "data" / "demo").mkdir(parents=True)
    shutil.copytree(source / "flows", folder / "flows")
    shutil.copy(source / "prefect.yaml", folder)
    shutil.copy(table, folder / "data" / "demo" / "molecules.csv")
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(folder / ".prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    with httpx.Client(base_url=api, timeout=30) as client:
        made = Project(folder, client, environment)
        if not client.get(f"/work_pools/{POOL}").is_success:
            made.prefect("work-pool", "create", POOL, "--type", "process")
        yield made
        for worker in made.workers:
            if worker.process.poll() is None:
                tree = worker.tree()
                worker.end(signal.SIGKILL)
                for process in tree:
                    process.kill()
                psutil.wait_procs(tree, timeout=30)
    # What waits would be taken by the next project's workers.
    httpx.delete(f"{api}/work_pools/{POOL}", timeout=30)
