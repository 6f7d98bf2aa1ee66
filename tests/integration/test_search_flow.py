"""Searches and ensembles on a Prefect server: their trainings are tasks of their own."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, TaskRun

from unimol2_flows.finetune import finetune
from unimol2_flows.search import SearchResult, search
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.params import Params, load_params, parse_params

pytestmark = pytest.mark.usefixtures("prefect_home")


@pytest.fixture(scope="module")
def params(tiny_params: Params) -> Params:
    """Two trials at the same time; an epoch each."""
    values = tiny_params.model_dump()
    values["finetune"] |= {"ranks": 1, "epochs": 1, "targets": ["weight"]}
    values["search"] = {"space": {"learning_rate": [1e-4, 2e-3]}, "parallel": 2}
    return parse_params(values)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search-flow")


@pytest.fixture(scope="module")
def found(out: Path, tiny_table: Path, params: Params) -> SearchResult:
    return search(str(tiny_table), str(out), params=params, label_columns=["weight"])


def runs(name: str) -> tuple[list[FlowRun], list[TaskRun]]:
    """The runs of a flow, and the tasks of these."""
    with get_client(sync_client=True) as client:
        flows = {flow.id for flow in client.read_flows() if flow.name == name}
        flow_runs = [run for run in client.read_flow_runs() if run.flow_id in flows]
        identities = {run.id for run in flow_runs}
        return flow_runs, [task for task in client.read_task_runs() if task.flow_run_id in identities]


def trials(tasks: list[TaskRun]) -> dict[str, str | None]:
    """The states of those among the tasks that train a trial."""
    return {task.name: task.state_name for task in tasks if task.name.startswith("trial")}


def test_the_trials_are_mapped_tasks_and_the_best_becomes_a_predictor(found: SearchResult, out: Path) -> None:
    _, tasks = runs("unimol2-search-on-task-runner")
    assert trials(tasks) == {"trial 0": "Completed", "trial 1": "Completed"}
    # A task trains the best anew where no trial's predictor is left: it may need a slot and repeating.
    (refit,) = (task for task in tasks if task.name.startswith("fine-tune"))
    assert refit.state_name == "Completed"
    assert all({"unimol2", "train"} <= set(task.tags) for task in tasks if not task.name.startswith("record"))
    _, own = runs("unimol2-search")
    states = {task.name.partition(" ")[0]: task.state_name for task in own}
    assert (states["prepare"], states["fine-tune"]) == ("Completed", "Cached")

    folder = Store().fetch(found.search.uri, "search", found.search.digest).path
    best = load_params(folder / "best.yaml").finetune.learning_rate
    predictor = Store().fetch(found.predictor.uri, "predictor", found.predictor.digest)
    assert predictor.path == out / "predictor"
    assert predictor.manifest.params["finetune"]["learning_rate"] == best


def test_the_table_of_trials_is_on_the_server(found: SearchResult) -> None:
    with get_client(sync_client=True) as client:
        tables = [artifact for artifact in client.read_artifacts() if artifact.key == "unimol2-trials"]
    (table,) = tables
    rows = json.loads(str(table.data), parse_constant=pytest.fail)
    assert [row["state"] for row in rows] == ["complete", "complete"]
    assert rows[0]["loss"] <= rows[1]["loss"]
    assert table.description == f"{found.search.uri}/trials.html"


def test_a_second_run_trains_nothing(
    found: SearchResult, out: Path, tiny_table: Path, params: Params
) -> None:
    before = runs("unimol2-search-on-task-runner")[1]
    assert search(str(tiny_table), str(out), params=params, label_columns=["weight"]) == found
    seen = {task.id for task in before}
    new = [task for task in runs("unimol2-search-on-task-runner")[1] if task.id not in seen]
    assert trials(new) == {}
    assert {task.state_name for task in new if task.name.startswith("fine-tune")} == {"Cached"}


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory, tiny_table: Path, params: Params) -> ArtifactRef:
    out = tmp_path_factory.mktemp("ensemble-flow")
    values: dict[str, Any] = params.model_dump()
    values["finetune"] |= {"seeds": [0, 1]}
    joined: ArtifactRef = finetune(
        str(tiny_table), str(out), params=parse_params(values), label_columns=["weight"], parallel=2
    )
    return joined


def test_the_members_of_an_ensemble_are_mapped_tasks(ensemble: ArtifactRef) -> None:
    _, tasks = runs("unimol2-finetune-on-task-runner")
    names = Counter(task.name.partition(" ")[0] for task in tasks)
    assert (names["fine-tune"], names["join"]) == (2, 1)
    artifact = Store().fetch(ensemble.uri, "predictor", ensemble.digest)
    assert sorted(path.name for path in (artifact.path / "members").iterdir()) == ["seed-0", "seed-1"]


def test_a_finished_member_is_that_of_another_micro_batch_too(
    ensemble: ArtifactRef, tiny_table: Path, params: Params
) -> None:
    """What was made before somebody ran out of memory is kept."""
    out = Path(ensemble.uri).parent
    shutil.rmtree(out / "predictor")
    shutil.rmtree(out / "members" / "seed-1")
    kept = Store().fetch(str(out / "members" / "seed-0"), "predictor").manifest.digest
    values: dict[str, Any] = params.model_dump()
    values["finetune"] |= {"seeds": [0, 1], "micro_batch_size": 1}
    again: ArtifactRef = finetune(
        str(tiny_table), str(out), params=parse_params(values), label_columns=["weight"], parallel=2
    )
    assert Store().fetch(again.uri, "predictor", again.digest).path == out / "predictor"
    assert Store().fetch(str(out / "members" / "seed-0"), "predictor").manifest.digest == kept
