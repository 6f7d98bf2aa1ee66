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
    "end-to-end", "evaluate", "finetune", "predict", "prepare", "pretrain", "reproduce", "scaling", "search",
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
    assert all(entry["description"] and entry["tags"] == ["unimol2"] for entry in deployments.values())
    (nightly,) = deployments["end-to-end"]["schedules"]
    assert nightly["schedule"]["cron"] == "0 2 * * *"
    assert nightly["active"] is False
    limits = {name: entry["global_concurrency_limit"] for name, entry in deployments.items()}
    one_at_a_time = {name for name, limit in limits.items() if limit is not None and limit["limit"] == 1}
    assert one_at_a_time == {"end-to-end", "finetune", "pretrain", "reproduce", "scaling", "search"}
    assert deployments["pretrain"]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"

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
    run_command("prefect", "block", "register", "--module", "unimol2_tasks.blocks", cwd=project)
    types = {entry["slug"] for entry in server.post("/block_types/filter", json={}).json()}
    assert {"unimol2-artifact-store", "unimol2-launch-profile"} <= types
    block = {"$ref": {"block_document_id": str(uuid4())}}
    # The server refuses what fits both a plain value and a reference.
    for flow, parameter in ((prepare, "store"), (pretrain, "launch"), (pretrain, "store")):
        schema = parameter_schema(flow.fn).model_dump_for_openapi()
        given = {"table": "a.csv", "out": "b", parameter: block}
        assert validate(given, schema, raise_on_error=False, preprocess=True) == []
