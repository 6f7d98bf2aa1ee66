"""A search with real trainings, killed once: it ends as if nothing had happened."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import yaml

from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.params import Params, load_params, parse_params
from unimol2_tasks.stages import finetune, search

_PATIENCE_SECONDS = 400.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has made."""

    folder: Path
    predictor: Path


@pytest.fixture(scope="module")
def params(tiny_params: Params) -> Params:
    """Two trials of 18 steps; with dropout, so that its randomness counts."""
    values = tiny_params.model_dump()
    values["finetune"] |= {"ranks": 1, "epochs": 6, "targets": ["weight"]}
    values["search"] = {"space": {"learning_rate": [1e-4, 2e-3]}}
    return parse_params(values)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, params: Params, tiny_dataset: ArtifactRef) -> Found:
    folder = tmp_path_factory.mktemp("undisturbed")
    inputs = search.SearchInputs(tiny_dataset.uri, None, str(folder / "predictor"))
    search.run(params, inputs, str(folder / "search"))
    return Found(folder / "search", folder / "predictor")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, params: Params, tiny_dataset: ArtifactRef) -> Found:
    """Made by two commands: the first is killed in the middle of the second trial."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    work = folder / ".work"
    with _command(folder, tiny_dataset) as first:
        _wait(first, lambda: len(list(work.glob("search-*/outcomes/*.json"))) == 1)
        _wait(first, lambda: any(work.glob("search-*/*/.work/predictor-*/checkpoints/step-*")))
        first.kill()
    assert not (folder / "search").exists()
    with _command(folder, tiny_dataset) as second:
        assert second.wait(_PATIENCE_SECONDS) == 0, _log(folder, 1)
    assert "trial 0 " in _log(folder, 0)
    assert "trial 0 " not in _log(folder, 1), "a trial that had ended was trained again"
    assert "trial 1 " in _log(folder, 1)
    return Found(folder / "search", folder / "predictor")


@contextmanager
def _command(folder: Path, dataset: ArtifactRef) -> Iterator[subprocess.Popen[bytes]]:
    """A search that is over when the block is; its ranks end with it."""
    number = len(list(folder.glob("log-*")))
    command = ["search", "--dataset", dataset.uri, "--params", "params.yaml", "--out", "search"]
    with (folder / f"log-{number}").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "unimol2_tasks.cli", *command, "--refit", "predictor"],
            cwd=folder,
            stderr=log,
            stdout=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _log(folder: Path, number: int) -> str:
    return " ".join((folder / f"log-{number}").read_text(encoding="utf-8").split())


def _wait(process: subprocess.Popen[bytes], condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def _files(predictor: Path) -> dict[str, bytes]:
    return {
        path.relative_to(predictor).as_posix(): path.read_bytes()
        for path in predictor.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }


def test_a_killed_search_ends_as_an_undisturbed_one(killed: Found, undisturbed: Found) -> None:
    tables = [pl.read_csv(found.folder / "trials.csv").drop("seconds") for found in (killed, undisturbed)]
    assert tables[0].equals(tables[1])
    assert (killed.folder / "best.yaml").read_bytes() == (undisturbed.folder / "best.yaml").read_bytes()
    assert _files(killed.predictor) == _files(undisturbed.predictor)


def test_the_table_holds_every_trial_with_its_loss(undisturbed: Found) -> None:
    table = pl.read_csv(undisturbed.folder / "trials.csv")
    assert table["state"].to_list() == ["complete", "complete"]
    assert sorted(table["learning_rate"]) == [1e-4, 2e-3]
    assert table["loss"].null_count() == table["valid/mae/weight"].null_count() == 0
    best = load_params(undisturbed.folder / "best.yaml").finetune.learning_rate
    assert table.sort("loss")["learning_rate"][0] == best


def test_the_refitted_predictor_is_what_best_yaml_trains(
    undisturbed: Found, tiny_dataset: ArtifactRef, tmp_path: Path
) -> None:
    best = load_params(undisturbed.folder / "best.yaml")
    ref = finetune.run(best, finetune.FinetuneInputs(tiny_dataset.uri, None), str(tmp_path / "predictor"))
    assert _files(Path(ref.uri)) == _files(undisturbed.predictor)
    assert ref.digest == Store().fetch(str(undisturbed.predictor), "predictor").manifest.digest


def test_nothing_is_left_behind(killed: Found) -> None:
    assert not list((killed.folder.parent / ".work").glob("search-*"))
