"""Runs that are cancelled, and workers that are killed: nothing is left, and the next run goes on."""

import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.integration.prefect.projects import Project, wait_until
from unimol2_tasks.params import Params
from unimol2_tasks.training.job import RunFolder, read_json

CANCEL_SECONDS = 30.0


@pytest.fixture
def parameters(tiny_params: Params) -> dict[str, Any]:
    """A pretraining without an end in sight."""
    values = tiny_params.model_dump(mode="json", exclude_defaults=True)
    values["prepare"] |= {"conformers": 1, "workers": 1}
    values["pretrain"] |= {"steps": 1_000_000, "ranks": 2, "checkpoint_every": 10, "validate_every": 1000}
    return {"table": "data/demo/molecules.csv", "out": "runs/pretrain", "params": values}


def checkpoints(project: Project) -> list[Path]:
    return sorted((project.folder / "runs" / "pretrain" / ".work").glob("model-*/checkpoints/step-*"))


def log(project: Project) -> str:
    found = list((project.folder / "runs" / "pretrain" / ".work").glob("model-*/worker.log"))
    return found[0].read_text(errors="replace") if found else ""


def training(project: Project, parameters: dict[str, Any]) -> tuple[str, list[psutil.Process]]:
    """Start a run, wait until it has written a checkpoint of its own; gives its id and all processes."""
    before = set(checkpoints(project))
    run = project.start_run("pretrain", parameters)
    wait_until(lambda: set(checkpoints(project)) - before, "a checkpoint")
    return run, project.workers[-1].tree()


def cancel(project: Project, run: str, processes: list[psutil.Process]) -> None:
    """Cancel a run; its processes have ended in time, and Prefect knows it."""
    project.prefect("flow-run", "cancel", run)
    asked = time.monotonic()
    _, alive = psutil.wait_procs(processes, timeout=2 * CANCEL_SECONDS)
    took = time.monotonic() - asked
    assert alive == []
    assert took < CANCEL_SECONDS
    wait_until(lambda: project.state(run) == "Cancelled", "the state of the cancelled run", 60)


def test_nothing_is_left_and_the_next_run_goes_on(
    project: Project, parameters: dict[str, Any], project_root: Path
) -> None:
    zombies = yaml.safe_load((project_root / "infra" / "prefect" / "zombies.yaml").read_text())
    # Less patience than with real machines.
    zombies["automations"][0]["trigger"]["within"] = 40
    (project.folder / "zombies.yaml").write_text(yaml.safe_dump(zombies))
    project.prefect("automation", "create", "--from-file", "zombies.yaml")
    project.deploy("pretrain")
    worker = project.start_worker()

    run, processes = training(project, parameters)
    assert len(processes) >= 4, "the flow, the launcher and two ranks"
    cancel(project, run, processes)

    run, processes = training(project, parameters)
    assert "resumed from step-" in log(project)
    ranks = [process for process in processes if process.ppid() != worker.process.pid]
    worker.end(signal.SIGKILL)
    for process in set(processes) - set(ranks):
        process.kill()
    # The kernel ends the ranks with the flow.
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert project.state(run) == "Running", "nobody was left to say otherwise"
    wait_until(lambda: project.state(run) == "Crashed", "the automation", 120)
    assert "No heartbeat" in project.run(run)["state"]["message"]

    seen = log(project).count("resumed from step-")
    project.start_worker()
    run, _ = training(project, parameters)
    assert log(project).count("resumed from step-") > seen
    assert "Cached" in project.task_states(run), "the dataset was not prepared again"


@pytest.fixture
def ensemble(tiny_params: Params) -> dict[str, Any]:
    """Three members without an end in sight, two at a time."""
    values = tiny_params.model_dump(mode="json", exclude_defaults=True)
    values["prepare"] |= {"conformers": 1, "workers": 1}
    values["finetune"] |= {"epochs": 1_000_000, "ranks": 1, "seeds": [0, 1, 2], "targets": ["weight"]}
    return {
        "table": "data/demo/molecules.csv",
        "out": "runs/finetune",
        "params": values,
        "label_columns": ["weight"],
        "parallel": 2,
    }


def test_a_cancelled_ensemble_saves_what_its_threads_train(
    project: Project, ensemble: dict[str, Any]
) -> None:
    project.deploy("finetune")
    worker = project.start_worker()
    run = project.start_run("finetune", ensemble)
    work = project.folder / "runs" / "finetune" / "members" / ".work"

    def members() -> list[RunFolder]:
        return [RunFolder(path.parent) for path in sorted(work.glob("predictor-*/heartbeat.json"))]

    wait_until(lambda: len(members()) == 2, "steps of two members")
    processes = worker.tree()
    cancel(project, run, processes)
    for member in members():
        failure = read_json(member.failure)
        assert failure is not None
        newest = max(path.name for path in member.checkpoints.glob("step-*"))
        step = int(newest.removeprefix("step-"))
        assert failure == {"reason": "stopped", "message": f"Stopped: stopped after step {step}"}
    assert len(list(work.glob("predictor-*"))) == 2, "the third was not begun"
