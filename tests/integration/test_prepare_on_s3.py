"""A preparation whose table, unfinished work and result lie on S3, shared by machines with no common disk."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.params import Params
from unimol2_tasks.stages.preparation.units import IdentifyUnit, Unit, work_here
from unimol2_tasks.stages.prepare import PrepareInputs, run


@pytest.fixture
def table(s3_environment: str, tiny_table: Path) -> str:
    boto3.client("s3").upload_file(
        str(tiny_table), s3_environment.removeprefix("s3://"), f"in/{tiny_table.name}"
    )
    return f"{s3_environment}/in/{tiny_table.name}"


def on_another_machine(cache: Path, units: Iterable[Unit]) -> Iterator[Unit]:
    """Work on units with nothing but S3 in common with whoever leads."""
    for unit in units:
        there = replace(unit, workspace=Workspace(unit.workspace.uri, Store(cache=cache)))
        list(work_here([there], workers=1))
        yield unit


def keys(prefix: str) -> list[str]:
    found: Any = boto3.client("s3").list_objects_v2(Bucket="unimol2", Prefix=prefix)
    return [entry["Key"] for entry in found.get("Contents", ())]


def test_who_works_for_another_machine_keeps_nothing(s3_environment: str, tmp_path: Path) -> None:
    worker = Workspace(f"{s3_environment}/work/kept", Store(cache=tmp_path / "worker"))
    driver = Workspace(worker.uri, Store(cache=tmp_path / "driver"))
    with worker.new("built/one") as path:
        path.write_text("conformers")
    assert [path for path in (tmp_path / "worker").rglob("*") if path.is_file()] == []
    assert driver.path("built/one").read_text() == "conformers"
    assert worker.path("built/one").read_text() == "conformers"
    driver.remove()
    assert worker.finished() == set()


def test_another_machine_takes_over_and_the_bytes_are_the_same(
    table: str, s3_environment: str, tmp_path: Path, tiny_dataset: ArtifactRef, tiny_params: Params
) -> None:
    params = tiny_params.prepare.model_copy(update={"unit_rows": 15})
    where = {"out": f"{s3_environment}/out", "work": f"{s3_environment}/work"}

    def interrupted(units: Iterable[Unit]) -> Iterator[Unit]:
        for done, unit in enumerate(on_another_machine(tmp_path / "b", units)):
            yield unit
            if done == 1:
                raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        run(params, PrepareInputs(table), **where, store=Store(cache=tmp_path / "a"), work_on=interrupted)
    left = keys("work/")
    assert len([key for key in left if "/identified/" in key]) == 2
    assert keys("out/") == []

    worked: list[Unit] = []

    def recording(units: Iterable[Unit]) -> Iterator[Unit]:
        for unit in on_another_machine(tmp_path / "d", units):
            worked.append(unit)
            yield unit

    ref = run(params, PrepareInputs(table), **where, store=Store(cache=tmp_path / "c"), work_on=recording)
    assert [unit.number for unit in worked if isinstance(unit, IdentifyUnit)] == [2]
    assert keys("work/") == []
    assert ref.digest == tiny_dataset.digest
