import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect.context import TaskRunContext

from unimol2_tasks import task_cache
from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef
from unimol2_tasks.blocks import ArtifactStore
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.task_cache import cache_key

DATASET = ArtifactRef(kind="dataset", uri="runs/dataset", digest="ab")


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    """Parameters of a task whose artifact is there."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_text("{}")
    (tmp_path / "table.csv").write_text("smiles\nC\n")
    return {
        "dataset": DATASET,
        "table": str(tmp_path / "table.csv"),
        "out": str(tmp_path / "out"),
        "params": Params(),
        "compare": {"scratch": DATASET},
        "label_columns": ["gap"],
        "store": None,
    }


def key(values: dict[str, Any], name: str = "prepare dataset", **changes: Any) -> str | None:
    context = cast(TaskRunContext, SimpleNamespace(task=SimpleNamespace(name=name)))
    return cache_key(context, values | changes)


def test_the_same_work_has_the_same_key(values: dict[str, Any]) -> None:
    assert key(values) is not None
    assert key(values) == key(dict(reversed(values.items())))


@pytest.mark.parametrize(
    "changes",
    [
        {"params": parse_params({"pretrain": {"steps": 3}})},
        {"dataset": ArtifactRef(kind="dataset", uri="runs/dataset", digest="cd")},
        {"compare": {"scratch": ArtifactRef(kind="dataset", uri="runs/dataset", digest="cd")}},
        {"compare": {"other": DATASET}},
        {"compare": {}},
        {"label_columns": ["dipole"]},
        {"label_columns": None},
        {"name": "embed table"},
    ],
)
def test_other_work_has_another_key(values: dict[str, Any], changes: dict[str, Any]) -> None:
    assert key(values, **changes) not in (None, key(values))


def test_another_place_for_the_result_has_another_key(values: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "out", tmp_path / "elsewhere")
    assert key(values, out=str(tmp_path / "elsewhere")) not in (None, key(values))


def test_the_key_follows_the_content_of_the_table(values: dict[str, Any], tmp_path: Path) -> None:
    before = key(values)
    (tmp_path / "table.csv").write_text("smiles\nCC\n")
    assert key(values) not in (None, before)
    (tmp_path / "table.csv").write_text("smiles\nC\n")
    assert key(values) == before


def test_a_moved_table_with_the_same_content_has_the_same_key(values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    shutil.copy(tmp_path / "table.csv", tmp_path / "moved" / "other.csv")
    assert key(values, table=str(tmp_path / "moved" / "other.csv")) == key(values)


def test_new_code_has_another_key(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(values)
    monkeypatch.setattr(task_cache, "code_version", lambda: "another")
    assert key(values) not in (None, before)


def test_how_a_place_is_reached_does_not_count(values: dict[str, Any]) -> None:
    block = ArtifactStore(
        root="s3://bucket",
        endpoint_url="http://127.0.0.1:1",
        region="us-east-1",
        access_key="key",
        secret_key="secret",
    )
    assert key(values, store=block) == key(values)


def test_a_moved_artifact_with_the_same_content_has_the_same_key(values: dict[str, Any]) -> None:
    moved = DATASET.model_copy(update={"uri": "s3://bucket/dataset"})
    assert key(values, dataset=moved, compare={"scratch": moved}) == key(values)


def test_a_result_whose_artifact_is_gone_is_not_served(values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out" / MANIFEST).unlink()
    assert key(values) is None
    shutil.rmtree(tmp_path / "out")
    assert key(values) is None


def test_a_single_file_counts_as_an_artifact(values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("row\n")
    assert key(values, out=str(tmp_path / "predictions.csv")) is not None


def test_a_table_on_s3_may_change_under_its_address(values: dict[str, Any]) -> None:
    assert key(values, table="s3://bucket/table.csv") is None


def test_an_artifact_on_s3_is_trusted_to_stay(values: dict[str, Any]) -> None:
    assert key(values, out="s3://bucket/runs") is not None
