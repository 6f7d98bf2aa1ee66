import asyncio
import csv
import json
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.serializers import JSONSerializer
from prefect.states import State

from unimol2_flows.end_to_end import EndToEndResult, end_to_end
from unimol2_flows.prepare import prepare
from unimol2_flows.pretrain import pretrain
from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.blocks import ArtifactStore, LaunchProfile
from unimol2_tasks.errors import ArtifactError, ParameterError, TrainingFailed, UserError
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import embed_table, predict_table, prepare_dataset
from unimol2_tasks.tasks.repeating import worth_repeating

pytestmark = pytest.mark.usefixtures("prefect_home")
STEPS = ["molecules", "labelled", "model", "predictor", "report", "predictions.csv"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rows to predict; one is no molecule."""
    path = tmp_path_factory.mktemp("library") / "library.csv"
    path.write_text("name,smiles\na,CCCO\nb,C(C\nc,c1ccncc1C\n")
    return path


@pytest.fixture(scope="module")
def arguments(
    tmp_path_factory: pytest.TempPathFactory, tiny_table: Path, tiny_params: Params, library: Path
) -> dict[str, Any]:
    training = {"ranks": 1}
    params = tiny_params.model_copy(
        update={
            "pretrain": tiny_params.pretrain.model_copy(update={"steps": 4, **training}),
            "finetune": tiny_params.finetune.model_copy(update={"epochs": 2, **training}),
        }
    )
    return {
        "molecules": str(tiny_table),
        "labelled": str(tiny_table),
        "library": str(library),
        "out": str(tmp_path_factory.mktemp("end-to-end")),
        "params": params,
        "label_columns": ["weight", "aromatic"],
        "compare_with_scratch": False,
    }


@pytest.fixture(scope="module")
def first_run(arguments: dict[str, Any]) -> State[EndToEndResult]:
    return end_to_end(**arguments, return_state=True)


@pytest.fixture(scope="module")
def second_run(first_run: State[EndToEndResult], arguments: dict[str, Any]) -> State[EndToEndResult]:
    before = age(arguments["out"])
    again = end_to_end(**arguments, return_state=True)
    assert age(arguments["out"]) == before
    return again


def states(run: State[Any]) -> list[str]:
    """Names of the final states of a flow run's tasks."""
    with get_client(sync_client=True) as client:
        return [task.state_name or "" for task in client.read_task_runs(flow_run_filter=only(run))]


def only(run: State[Any]) -> FlowRunFilter:
    """What restricts a question to the server to one flow run."""
    return FlowRunFilter(id=FlowRunFilterId(any_=[run.state_details.flow_run_id]))


def stored(path: Path) -> Any:
    """A result as Prefect keeps it: with its metadata where it is cached, else alone."""
    record = json.loads(path.read_text())
    return json.loads(record["result"]) if "metadata" in record else record


def age(out: str) -> dict[str, int]:
    """When each step's artifact was written."""
    return {step: (Path(out) / step).stat().st_mtime_ns for step in STEPS}


def test_end_to_end_makes_every_artifact(first_run: State[EndToEndResult], arguments: dict[str, Any]) -> None:
    result = first_run.result()
    kinds = {"molecules": "dataset", "labelled": "dataset", "model": "model", "predictor": "predictor"}
    for name, kind in (kinds | {"report": "report"}).items():
        ref = getattr(result, name)
        assert Store().fetch(ref.uri, kind, ref.digest).path == Path(arguments["out"]) / name  # type: ignore[arg-type]
    assert result.scratch is None
    assert (Path(arguments["out"]) / "report" / "report.html").stat().st_size > 10_000
    assert states(first_run) == ["Completed"] * 6


def test_every_row_of_the_library_is_answered_in_its_order(
    first_run: State[EndToEndResult], arguments: dict[str, Any]
) -> None:
    with (Path(arguments["out"]) / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [bool(row["prediction:weight"]) for row in rows] == [True, False, True]
    assert [bool(row["reason"]) for row in rows] == [False, True, False]


def test_what_a_person_looks_at_is_on_the_server(first_run: State[EndToEndResult]) -> None:
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(flow_run_filter=only(first_run))
    named = {artifact.key: artifact for artifact in artifacts if artifact.key}
    assert "| 40 | 40 | 0 |" in named["unimol2-data-card"].data
    for key in ("unimol2-pretraining", "unimol2-fine-tuning", "unimol2-scores"):
        assert named[key].type == "table"
        assert json.loads(named[key].data, parse_constant=pytest.fail)
    assert named["unimol2-pretraining-curve"].type == "image"
    assert named["unimol2-pretraining-curve"].data.startswith("data:image/png;base64,")
    assert "report/report.html)" in named["unimol2-report"].data
    progress = {artifact.description: artifact.data for artifact in artifacts if artifact.type == "progress"}
    assert set(progress.values()) == {100.0}


def test_finished_work_is_served_from_the_cache(
    first_run: State[EndToEndResult], second_run: State[EndToEndResult]
) -> None:
    assert states(second_run) == ["Cached"] * 6
    assert second_run.result() == first_run.result()


def test_artifacts_are_assets_with_what_they_were_made_of(
    first_run: State[EndToEndResult], arguments: dict[str, Any], prefect_server: str
) -> None:
    out = f"file://{arguments['out']}"
    made: dict[str, Any] = {}
    deadline = time.monotonic() + 60
    while len(made) < len(STEPS) and time.monotonic() < deadline:
        events = httpx.post(
            f"{prefect_server}/events/filter",
            json={"filter": {"event": {"name": ["prefect.asset.materialization.succeeded"]}}, "limit": 50},
        ).json()["events"]
        found = {event["resource"]["prefect.resource.id"]: event for event in events}
        made = {key: event for key, event in found.items() if key.startswith(out)}
    assert sorted(made) == sorted(f"{out}/{step}" for step in STEPS)
    sources = {
        key.removeprefix(out): [
            related["prefect.resource.id"].removeprefix(out)
            for related in event["related"]
            if related.get("prefect.resource.role") == "asset"
        ]
        for key, event in made.items()
    }
    assert sources["/molecules"] == [f"file://{arguments['molecules']}"]
    assert sources["/model"] == ["/molecules"]
    assert sorted(sources["/predictor"]) == ["/labelled", "/model"]
    assert made[f"{out}/model"]["payload"]["digest"] == first_run.result().model.digest


def test_a_crashed_step_is_retried_from_its_artifact_and_not_from_the_start(
    second_run: State[EndToEndResult], arguments: dict[str, Any]
) -> None:
    report = Path(arguments["out"]) / "report"
    shutil.rmtree(report)
    (report / "somebody").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="exists and is no artifact"):
        end_to_end(**arguments)
    before = age(arguments["out"])
    shutil.rmtree(report)
    again = end_to_end(**arguments, return_state=True)
    assert sorted(states(again)) == ["Cached"] * 5 + ["Completed"]
    after = age(arguments["out"])
    assert [step for step in STEPS if before.get(step) != after[step]] == ["report"]


def test_results_are_small_json(second_run: State[EndToEndResult], prefect_home: Path) -> None:
    results = [stored(path) for path in (prefect_home / "storage").iterdir()]
    # Failures have a message in place of data.
    found = [result.get("data", {}) for result in results]
    kinds = {data["kind"] for data in found if set(data) == {"kind", "uri", "digest"}}
    assert kinds == {"dataset", "model", "predictor", "report", "predictions"}
    assert max(path.stat().st_size for path in (prefect_home / "storage").iterdir()) < 4096


def test_a_failure_is_stored_as_json_too(tmp_path: Path, prefect_home: Path) -> None:
    with pytest.raises(UserError):
        prepare(str(tmp_path / "none.csv"), str(tmp_path / "dataset"))
    newest = max((prefect_home / "storage").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert "none.csv: cannot be read" in stored(newest)["message"]


def test_a_failed_training_can_be_read_by_another_process() -> None:
    serializer = JSONSerializer()
    failure = serializer.loads(serializer.dumps(TrainingFailed("it crashed", "crash")))
    assert isinstance(failure, TrainingFailed)
    assert str(failure) == "it crashed"


def test_a_removed_artifact_is_made_again_and_nothing_else(
    first_run: State[EndToEndResult], arguments: dict[str, Any]
) -> None:
    before = age(arguments["out"])
    shutil.rmtree(Path(arguments["out"]) / "report")
    again = end_to_end(**arguments, return_state=True)
    after = age(arguments["out"])
    assert [step for step in STEPS if before[step] != after[step]] == ["report"]
    assert again.result().predictions == first_run.result().predictions


def test_a_bad_table_fails_with_the_message_and_publishes_nothing(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("name,smiles\na,C(C\nb,not a molecule\n")
    with pytest.raises(UserError, match=r"table\.csv: no molecule of 2 rows could be used; .*row 1 \(C\(C\)"):
        prepare(str(table), str(tmp_path / "dataset"))
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_flow_takes_parameters_as_a_deployment_sends_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: cannot be read"):
        pretrain(str(tmp_path / "none.csv"), str(tmp_path), params={"model": {"preset": "42M"}})  # type: ignore[arg-type]
    with get_client(sync_client=True) as client:
        names = [run.name for run in client.read_flow_runs()]
    assert f"pretrain 42M on {tmp_path / 'none.csv'}" in names


def test_unknown_parameters_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"params\.pretrain\.stps"):
        pretrain("none.csv", str(tmp_path), params={"pretrain": {"stps": 3}})  # type: ignore[arg-type]


def test_a_launch_profile_changes_how_not_what(tiny_params: Params) -> None:
    LaunchProfile(ranks=4, threads=1, hang_seconds=60, max_restarts=0).save("two-cards")  # type: ignore[unused-coroutine]
    launched = LaunchProfile.load("two-cards").apply(tiny_params)  # type: ignore[union-attr]
    assert (launched.pretrain.ranks, launched.finetune.threads) == (4, 1)
    assert launched.supervision.max_restarts == 0
    assert launched.model == tiny_params.model
    with pytest.raises(ParameterError, match=r"launch profile with 3 ranks: pretrain: .*ranks 3"):
        LaunchProfile(ranks=3).apply(tiny_params)


def test_tasks_work_one_by_one_in_somebody_elses_flow(
    first_run: State[EndToEndResult], arguments: dict[str, Any], tmp_path: Path
) -> None:
    made = first_run.result()

    @flow
    def screening(predictor: ArtifactRef, model: ArtifactRef, library: str) -> list[ArtifactRef]:
        store = ArtifactStore(root=str(tmp_path), cache=tmp_path / "cache")
        dataset = prepare_dataset.submit(library, str(tmp_path / "dataset"), arguments["params"], store=store)
        predictions = predict_table.submit(
            predictor, library, str(tmp_path / "p.parquet"), wait_for=[dataset]
        )
        embeddings = embed_table.submit(
            model, library, str(tmp_path / "e.csv"), arguments["params"], wait_for=[predictions]
        )
        return [future.result() for future in (dataset, predictions, embeddings)]

    refs = screening(made.predictor, made.model, arguments["library"])
    assert [ref.kind for ref in refs] == ["dataset", "predictions", "embeddings"]
    assert (tmp_path / "dataset" / MANIFEST).is_file()
    with (tmp_path / "e.csv").open(newline="") as stream:
        assert [bool(row["embedding:0"]) for row in csv.DictReader(stream)] == [True, False, True]


def test_a_replaced_artifact_is_refused_by_the_next_step(
    first_run: State[EndToEndResult], arguments: dict[str, Any]
) -> None:
    passed_on = first_run.result().model.model_copy(update={"digest": "0" * 64})
    with pytest.raises(ArtifactError, match="expected 000000000000; it was replaced"):
        embed_table.fn(passed_on, arguments["library"], f"{arguments['out']}/e.csv", arguments["params"])


def test_an_async_flow_awaits_the_tasks(
    first_run: State[EndToEndResult], arguments: dict[str, Any], tmp_path: Path
) -> None:
    model = first_run.result().model

    @flow
    async def both(model: ArtifactRef, library: str) -> list[ArtifactRef]:
        settings = arguments["params"]
        futures = [
            embed_table.submit(model, library, str(tmp_path / name), settings) for name in ("a.csv", "b.csv")
        ]
        return await asyncio.gather(*(asyncio.to_thread(future.result) for future in futures))

    refs = asyncio.run(both(model, arguments["library"]))
    assert [ref.kind for ref in refs] == ["embeddings"] * 2
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.parametrize(("error", "attempts"), [(ConnectionResetError(), 3), (UserError("bad"), 1)])
def test_prefect_repeats_what_may_pass_and_nothing_else(error: Exception, attempts: int) -> None:
    made: list[int] = []

    @task(retries=2, retry_delay_seconds=0, retry_condition_fn=worth_repeating)
    def step() -> None:
        made.append(1)
        raise error

    @flow
    def once() -> None:
        step()

    with pytest.raises(type(error)):
        once()
    assert len(made) == attempts
