import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from unimol2_flows.prepare import prepare
from unimol2_flows.pretrain import pretrain
from unimol2_tasks.artifacts.store import Store

FLOWS = [
    "embed", "end-to-end", "evaluate", "finetune", "nightly-data", "predict", "prepare", "pretrain",
    "reproduce", "scaling", "screen", "screen-shard", "search", "weekly-retrain",
]  # fmt: skip


@pytest.fixture
def server(prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client of a Prefect server that commands use too."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    with httpx.Client(base_url=prefect_server, timeout=30) as client:
        yield client


@pytest.fixture
def project(tmp_path: Path, project_root: Path, tiny_table: Path) -> Path:
    """A folder with the project's flows, their deployments and a table where these expect it."""
    project = tmp_path / "project"
    (project / "data" / "demo").mkdir(parents=True)
    shutil.copytree(project_root / "flows", project / "flows")
    shutil.copy(project_root / "prefect.yaml", project)
    shutil.copy(tiny_table, project / "data" / "demo" / "molecules.csv")
    return project


def readme_commands(project_root: Path) -> list[str]:
    """The README's way to deployments, but for the server, whose port is another here, and the worker."""
    text = (project_root / "README.md").read_text(encoding="utf-8")
    block = next(
        block for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if "prefect server" in block
    )
    start, address, *commands, worker = block.strip().splitlines()
    assert start == "prefect server start --background"
    assert address.startswith("prefect config set PREFECT_API_URL=")
    assert worker == "prefect worker start --pool unimol2"
    return commands


def test_every_flow_is_deployed_and_a_worker_runs_one(
    server: httpx.Client, project: Path, project_root: Path, run_command: Callable[..., Any]
) -> None:
    for command in readme_commands(project_root):
        run_command(*command.split(), cwd=project)
    deployments = {entry["name"]: entry for entry in server.post("/deployments/filter", json={}).json()}
    assert sorted(deployments) == FLOWS
    assert all(entry["description"] and "unimol2" in entry["tags"] for entry in deployments.values())
    schedules = {
        name: (schedule["schedule"]["cron"], schedule["active"])
        for name, entry in deployments.items()
        for schedule in entry["schedules"]
    }
    assert schedules == {"nightly-data": ("0 1 * * *", False), "weekly-retrain": ("0 2 * * 0", False)}
    queues = {entry["work_queue_name"] for entry in deployments.values()}
    assert queues == {"cpu", "gpu"}
    assert deployments["pretrain"]["pull_steps"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(project)}}
    ]
    limits = {name: entry["global_concurrency_limit"] for name, entry in deployments.items()}
    one_at_a_time = {name for name, limit in limits.items() if limit is not None and limit["limit"] == 1}
    assert one_at_a_time == {
        "end-to-end", "finetune", "nightly-data", "pretrain", "reproduce", "scaling", "search",
        "weekly-retrain",
    }  # fmt: skip
    collisions = {
        name: deployments[name]["concurrency_options"]["collision_strategy"] for name in one_at_a_time
    }
    assert {name for name, strategy in collisions.items() if strategy == "CANCEL_NEW"} == schedules.keys()
    assert set(collisions.values()) == {"CANCEL_NEW", "ENQUEUE"}

    settings = json.dumps({"prepare": {"conformers": 1, "split": "random"}})
    run_command(
        *("prefect", "deployment", "run", "unimol2-prepare/prepare", "--param", f"params={settings}"),
        cwd=project,
    )
    run_command("prefect", "worker", "start", "--pool", "unimol2", "--run-once", cwd=project)
    runs = {"deployments": {"id": {"any_": [deployments["prepare"]["id"]]}}}
    (run,) = server.post("/flow_runs/filter", json=runs).json()
    assert run["state_name"] == "Completed"
    assert run["name"] == "prepare data/demo/molecules.csv"
    dataset = Store().fetch(str(project / "runs" / "prepare"), "dataset")
    assert dataset.manifest.rows is not None
    assert dataset.manifest.rows.out == 40
    assert dataset.manifest.params["conformers"] == 1


def test_saved_blocks_can_be_given_to_deployments(
    server: httpx.Client, project: Path, run_command: Callable[..., Any]
) -> None:
    run_command("prefect", "block", "register", "--module", "unimol2_tasks", cwd=project)
    types = {entry["slug"] for entry in server.post("/block_types/filter", json={}).json()}
    assert {"unimol2-artifact-store", "unimol2-launch-profile"} <= types
    block = {"$ref": {"block_document_id": str(uuid4())}}
    # The server refuses what fits both a plain value and a reference.
    for flow, parameter in ((prepare, "store"), (pretrain, "launch"), (pretrain, "store")):
        schema = parameter_schema(flow.fn).model_dump_for_openapi()
        given = {"table": "a.csv", "out": "b", parameter: block}
        assert validate(given, schema, raise_on_error=False, preprocess=True) == []


def test_impossible_values_are_refused_before_a_run_is_made(
    server: httpx.Client, project: Path, project_root: Path, run_command: Callable[..., Any]
) -> None:
    if not server.get("/deployments/name/unimol2-pretrain/pretrain").is_success:
        for command in readme_commands(project_root):
            run_command(*command.split(), cwd=project)
    before = server.post("/flow_runs/count", json={}).json()
    library = {"predictor": "runs/predictor", "library": "library.csv"}
    for deployment, parameters, complaint in (
        ("unimol2-pretrain/pretrain", {"params": {"pretrain": {"steps": 0}}}, "minimum of 1"),
        ("unimol2-pretrain/pretrain", {"params": {"pretrain": {"stps": 3}}}, "stps"),
        ("unimol2-pretrain/pretrain", {"params": {"model": {"preset": "2B"}}}, "2B"),
        ("unimol2-prepare/prepare", {"params": {"prepare": {"split": "by hand"}}}, "by hand"),
        ("unimol2-prepare/prepare", {"tabel": "other.csv"}, "tabel"),
        ("unimol2-finetune/finetune", {"parallel": 0}, "minimum of 1"),
        ("unimol2-screen/screen", {"out": "predictions.csv"}, "predictor"),
        ("unimol2-screen/screen", library | {"out": "predictions.xlsx"}, "xlsx"),
        ("unimol2-screen/screen", library | {"out": "p.csv", "workers": {"at_a_time": 0}}, "minimum of 1"),
    ):
        words = ("deployment", "run", deployment, "--params", json.dumps(parameters))
        refused = run_command("prefect", *words, cwd=project, code=1)
        assert complaint in (refused.stdout + refused.stderr).replace("\n", " "), deployment
    assert server.post("/flow_runs/count", json={}).json() == before


def test_the_automations_are_accepted(
    server: httpx.Client, project: Path, project_root: Path, run_command: Callable[..., Any]
) -> None:
    for name in ("zombies", "notifications"):
        path = project_root / "infra" / "prefect" / f"{name}.yaml"
        run_command("prefect", "automation", "create", "--from-file", str(path), cwd=project)
    automations = {entry["name"]: entry for entry in server.post("/automations/filter", json={}).json()}
    crash = automations["unimol2 zombies"]
    assert crash["trigger"]["posture"] == "Proactive"
    assert crash["actions"][0]["state"] == "CRASHED"
    assert {"unimol2 needs somebody", "unimol2 model is ready"} <= automations.keys()
