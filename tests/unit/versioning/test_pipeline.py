"""Stages one by one, where what earlier ones made is in no cache."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning import reproduce_stage

PIPELINE = """\
stages:
  first:
    cmd: mkdir first && cp number.txt first/number.txt && cp scores.json first/metrics.json
    deps: [number.txt]
    outs: [first]
  second:
    cmd: mkdir second && cp first/number.txt second/number.txt && cp scores.json second/metrics.json
    deps: [first, text.txt]
    outs: [second]
metrics: [first/metrics.json, second/metrics.json]
"""


def run(project: Path, stage: str, pull: bool = False) -> str:
    return reproduce_stage(project, stage, lambda line: None, pull=pull).outcome


@pytest.fixture
def cloned(dvc_repository: Path, dvc: Callable[..., None], commit: Callable[[str], str]) -> Path:
    """A project whose stages are in `dvc.lock`, as somebody gets it who has none of what they made."""
    (dvc_repository / "dvc.yaml").write_text(PIPELINE)
    (dvc_repository / "number.txt").write_text("21")
    (dvc_repository / "text.txt").write_text("old")
    (dvc_repository / "scores.json").write_text(json.dumps({"mae": 0.5}))
    dvc("repro", "--quiet")
    commit("Made")
    for name in ("first", "second", ".dvc/cache"):
        shutil.rmtree(dvc_repository / name)
    return dvc_repository


def test_results_that_nobody_has_are_made_anew(cloned: Path) -> None:
    (cloned / "text.txt").write_text("new")
    assert run(cloned, "first") in {"ran", "restored"}
    assert run(cloned, "second") == "ran"
    assert (cloned / "second" / "number.txt").read_text() == "21"
    # Now the cache has them.
    shutil.rmtree(cloned / "first")
    assert run(cloned, "first") == "unchanged"
    assert not (cloned / "first").exists()


def test_what_a_remote_is_said_to_have_and_lacks_is_named(
    cloned: Path, dvc: Callable[..., None], tmp_path: Path
) -> None:
    dvc("remote", "add", "--quiet", "--default", "store", str(tmp_path / "remote"))
    (cloned / "text.txt").write_text("new")
    assert run(cloned, "first", pull=True) == "unchanged"
    with pytest.raises(UserError, match=r"second: needs first, which cannot be had; push it .* leave out"):
        run(cloned, "second", pull=True)


def test_metrics_of_equally_named_files_are_told_apart(cloned: Path) -> None:
    found = {name: reproduce_stage(cloned, name, lambda line: None).metrics for name in ("first", "second")}
    assert found == {
        "first": {"first/metrics.json:mae": 0.5},
        "second": {"second/metrics.json:mae": 0.5},
    }
