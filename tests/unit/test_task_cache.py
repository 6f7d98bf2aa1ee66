"""What Prefect's tasks need not do again."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.context import TaskRunContext
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.serializers import JSONSerializer

from unimol2_tasks import task_cache
from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef, Rows
from unimol2_tasks.artifacts.single_file import publish_file
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.blocks import ArtifactStore
from unimol2_tasks.datasets.readers import table_digest
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.task_cache import cache_key, remembered

MODEL = ArtifactRef(kind="model", uri="runs/model", digest="ab")
OTHER_MODEL = ArtifactRef(kind="model", uri="runs/model", digest="cd")
Values = dict[str, Any]


class Cache:
    """Attempts of tasks that share what Prefect keeps."""

    def __init__(self, folder: Path) -> None:
        self.results = ResultStore(
            result_storage=LocalFileSystem(basepath=str(folder)), serializer=JSONSerializer()
        )

    def context(self, values: Values, name: str = "prepare dataset") -> TaskRunContext:
        """That of a new attempt."""
        attempt: dict[str, Any] = {
            "task": SimpleNamespace(name=name),
            "task_run": SimpleNamespace(id=uuid4()),
            "parameters": values,
            "result_store": self.results,
        }
        return TaskRunContext.model_construct(**attempt)

    def run(self, values: Values, stage: Callable[[Values], ArtifactRef]) -> ArtifactRef:
        """Work, and remember what came out."""
        context = self.context(values)
        assert cache_key(context, values) is None
        with context:
            return remembered(stage(values))

    def served(self, values: Values, name: str = "prepare dataset") -> ArtifactRef | None:
        """What the next task with these values gets without any work."""
        key = cache_key(self.context(values, name), values)
        found = None if key is None else self.results.read(key).result
        assert found is None or isinstance(found, ArtifactRef)
        return found


def dataset(values: Values) -> ArtifactRef:
    """Make a dataset of a table."""
    parents = {"table": table_digest(values["table"])}
    if values["params"].prepare.split_file is not None:
        parents["splits"] = Store().digest(values["params"].prepare.split_file)
    with Store().draft(values["out"]) as draft:
        (draft / "splits.txt").write_text("train")
        return Store().publish(draft, values["out"], Recipe("dataset", {}, parents))


def predictions(values: Values) -> ArtifactRef:
    """Predict a table."""
    recipe = Recipe("predictions", {}, {"table": table_digest(values["table"])})
    with Store().draft(values["out"]) as draft:
        (draft / Path(values["out"]).name).write_text("row\n")
        return publish_file(Store(), draft, values["out"], recipe, Rows(rows_in=1, out=1, rejects=0))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """What Prefect keeps, still empty."""
    return Cache(tmp_path / "results")


@pytest.fixture
def values(tmp_path: Path) -> Values:
    """Parameters of a task."""
    (tmp_path / "table.csv").write_text("smiles\nC\n")
    return {
        "model": MODEL,
        "table": str(tmp_path / "table.csv"),
        "out": str(tmp_path / "out"),
        "params": Params(),
        "compare": {"scratch": MODEL},
        "label_columns": ["gap"],
        "store": None,
    }


def test_finished_work_is_served(cache: Cache, values: Values) -> None:
    assert cache.served(values) is None
    ref = cache.run(values, dataset)
    assert cache.served(values) == ref
    assert cache.served(dict(reversed(values.items()))) == ref


@pytest.mark.parametrize(
    "changes",
    [
        {"params": parse_params({"pretrain": {"steps": 3}})},
        {"model": OTHER_MODEL},
        {"compare": {"scratch": OTHER_MODEL}},
        {"compare": {"other": MODEL}},
        {"compare": {}},
        {"label_columns": ["dipole"]},
        {"label_columns": None},
        {"rev": "main"},
        {"refit": "runs/predictor"},
    ],
)
def test_other_work_is_not(cache: Cache, values: Values, changes: Values) -> None:
    cache.run(values, dataset)
    assert cache.served(values | changes) is None


def test_another_task_is_other_work(cache: Cache, values: Values) -> None:
    cache.run(values, dataset)
    assert cache.served(values, "embed table") is None


def test_another_place_is_other_work(cache: Cache, values: Values, tmp_path: Path) -> None:
    cache.run(values, dataset)
    shutil.copytree(tmp_path / "out", tmp_path / "elsewhere")
    assert cache.served(values | {"out": str(tmp_path / "elsewhere")}) is None


def test_new_code_is_other_work(cache: Cache, values: Values, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.run(values, dataset)
    monkeypatch.setattr(task_cache, "code_version", lambda: "another")
    assert cache.served(values) is None


@pytest.mark.parametrize("table", ["tables", "tables/*.csv"])
def test_a_folder_of_tables_is_what_lies_in_it(
    cache: Cache, values: Values, tmp_path: Path, table: str
) -> None:
    (tmp_path / "tables").mkdir()
    shutil.copy(values["table"], tmp_path / "tables" / "a.csv")
    values["table"] = str(tmp_path / table)
    ref = cache.run(values, dataset)
    (tmp_path / "tables" / "b.csv").write_text("smiles\nCC\n")
    assert cache.served(values) is None
    (tmp_path / "tables" / "b.csv").unlink()
    assert cache.served(values) == ref


def test_what_a_file_holds_counts_and_not_where_it_lies(cache: Cache, values: Values, tmp_path: Path) -> None:
    ref = cache.run(values, dataset)
    moved = Path(shutil.copy(values["table"], tmp_path / "moved.csv"))
    assert cache.served(values | {"table": str(moved)}) == ref
    moved.write_text("smiles\nCC\n")
    assert cache.served(values | {"table": str(moved)}) is None
    moved.unlink()
    assert cache.served(values | {"table": str(moved)}) is None


def test_the_content_of_given_splits_counts(cache: Cache, values: Values, tmp_path: Path) -> None:
    splits = tmp_path / "splits.csv"
    splits.write_text("id,split\n1,train\n")
    values["params"] = parse_params({"prepare": {"split": "file", "split_file": str(splits)}})
    ref = cache.run(values, dataset)
    assert cache.served(values) == ref
    splits.write_text("id,split\n1,test\n")
    assert cache.served(values) is None


def test_a_table_that_is_replaced_meanwhile_is_other_work(cache: Cache, values: Values) -> None:
    def slow(given: Values) -> ArtifactRef:
        made = dataset(given)
        Path(given["table"]).write_text("smiles\nCC\n")
        return made

    ref = cache.run(values, slow)
    assert cache.served(values) is None
    Path(values["table"]).write_text("smiles\nC\n")
    assert cache.served(values) == ref


def test_what_was_made_of_another_table_than_the_first_is_not_remembered(
    cache: Cache, values: Values
) -> None:
    def late(given: Values) -> ArtifactRef:
        Path(given["table"]).write_text("smiles\nCC\n")
        return dataset(given)

    cache.run(values, late)
    assert cache.served(values) is None
    Path(values["table"]).write_text("smiles\nC\n")
    assert cache.served(values) is None


def test_how_a_place_is_reached_does_not_count(cache: Cache, values: Values, tmp_path: Path) -> None:
    ref = cache.run(values, dataset)
    block = ArtifactStore(root=str(tmp_path), access_key="key", secret_key="secret", region="us-east-1")
    assert cache.served(values | {"store": block, "out": "out"}) == ref


def test_a_moved_artifact_is_the_same_input(cache: Cache, values: Values) -> None:
    ref = cache.run(values, dataset)
    moved = MODEL.model_copy(update={"uri": "s3://bucket/model"})
    assert cache.served(values | {"model": moved, "compare": {"scratch": moved}}) == ref


def test_an_artifact_that_is_gone_is_made_again_and_served_again(
    cache: Cache, values: Values, tmp_path: Path
) -> None:
    cache.run(values, dataset)
    shutil.rmtree(tmp_path / "out")
    ref = cache.run(values, dataset)
    assert cache.served(values) == ref


def test_another_artifact_in_its_place_is_not_served(cache: Cache, values: Values, tmp_path: Path) -> None:
    cache.run(values, dataset)
    shutil.rmtree(tmp_path / "out")
    with Store().draft(values["out"]) as draft:
        Store().publish(draft, values["out"], Recipe("dataset", {"other": True}))
    assert cache.served(values) is None
    (tmp_path / "out" / MANIFEST).write_text("{}")
    assert cache.served(values) is None


def test_a_single_file_is_served_while_it_is_as_its_manifest_says(
    cache: Cache, values: Values, tmp_path: Path
) -> None:
    values["out"] = str(tmp_path / "predictions.csv")
    ref = cache.run(values, predictions)
    assert cache.served(values) == ref
    (tmp_path / "predictions.csv").write_text("cut")
    assert cache.served(values) is None
    (tmp_path / "predictions.csv").unlink()
    assert cache.served(values) is None


def test_outside_of_a_task_nothing_is_kept(values: Values) -> None:
    ref = dataset(values)
    assert remembered(ref) == ref
