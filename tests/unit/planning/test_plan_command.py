"""`unimol2 plan` as it is typed."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.cli import app
from unimol2_tasks.errors import UserError


@pytest.fixture
def recipe(project_root: Path) -> str:
    return str(project_root / "recipes" / "84M.yaml")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def plan(*options: str) -> Any:
    return CliRunner().invoke(app, ["plan", *options])


def values(*options: str) -> Any:
    done = plan(*options, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refusal(*options: str) -> str:
    done = plan(*options)
    assert isinstance(done.exception, UserError)
    return str(done.exception)


def test_a_recipe_is_planned_for_people(recipe: str) -> None:
    done = plan("--params", recipe, "--price", "2")
    assert done.exit_code == 0, done.output
    for text in (
        "84,116,080 parameters",
        "818,000",
        "GPU hours",
        "cost",
        "validation loss",
        "the paper's law",
    ):
        assert text in done.stdout
    assert "the rate is assumed" in " ".join(done.stdout.split())


def test_and_for_programs(recipe: str) -> None:
    plan = values("--params", recipe)
    assert plan["parameters"] == 84_116_080
    assert plan["chosen"]["fits"] is True
    assert plan["chosen"]["total"] == plan["stages"][0]["total"]
    assert plan["loss"]["loss"] == pytest.approx(0.1036, abs=1e-4)
    assert plan["cost"]["price"] is None


def test_gpus_share_out_the_batch_anew(recipe: str) -> None:
    plan = values("--params", recipe, "--gpus", "8", "--rate", "500")
    assert (plan["gpus"], plan["accumulation"]) == (8, 4)
    assert plan["cost"]["days"] == pytest.approx(818_000 * 1024 / 500 / 8 / 86_400)


def test_a_batch_that_does_not_divide_is_refused(recipe: str) -> None:
    assert "--gpus 48: batch_size 1024 cannot be shared out" in refusal("--params", recipe, "--gpus", "48")


def test_assignments_count(recipe: str) -> None:
    fewer = values("--params", recipe, "--set", "pretrain.steps=1000")
    assert fewer["cost"]["samples"] == 1_024_000
    assert any("1,000 steps" in warning for warning in fewer["warnings"])


def test_a_dataset_tells_sizes_and_epochs(tmp_path: Path, recipe: str) -> None:
    statistics = {"heavy_atoms": {"20": 1, "30": 1}, "splits": {"train": 818_000}}
    (tmp_path / "statistics.json").write_text(json.dumps(statistics), encoding="utf-8")
    plan = values("--params", recipe, "--dataset", str(tmp_path))
    assert (plan["sizes"]["mean"], plan["sizes"]["largest"]) == (25, 30)
    assert plan["cost"]["epochs"] == 1024


def test_a_fitted_law_predicts_in_place_of_the_papers(tmp_path: Path, recipe: str) -> None:
    constants = {"a": 0.0, "b": 0.0, "c": 0.5, "d": 0.0, "e": 0.0, "f": 0.0}
    store, out = Store(), str(tmp_path / "law")
    with store.draft(out) as draft:
        text = json.dumps({"constants": constants, "sizes": [1.0, 2.0]})
        (draft / "law.json").write_text(text, encoding="utf-8")
        store.publish(draft, out, Recipe("law", {}))
    loss = values("--params", recipe, "--law", out)["loss"]
    assert loss["loss"] == 0.5
    assert loss["doubts"] == ["84.1M parameters: this law was fitted on 1M to 2M"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate", "0"], "--rate 0.0: expected more than 0"),
        (["--peak-tflops", "-1"], "--peak-tflops -1.0: expected more than 0"),
        (["--utilisation", "30"], "--utilisation 30.0: expected a share"),
        (["--atoms", "100"], "--atoms 100: expected 1 to 64"),
        (["--atoms", "20", "--dataset", "nowhere"], "--atoms and --dataset: give one"),
        (["--dataset", "nowhere"], "nowhere/statistics.json: cannot be read"),
        (["--set", "pretrain.zero_stage=4"], "pretrain.zero_stage"),
        (["--set", "pretrain.deepspeed.optimizer={}"], "deepspeed.optimizer: cannot be set here"),
    ],
)
def test_what_cannot_be_is_refused(recipe: str, options: list[str], message: str) -> None:
    assert message in refusal("--params", recipe, *options)
