"""`unimol2 scaling …` as it is typed."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.cli import app
from unimol2_tasks.errors import UserError
from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.scaling.resampling import Replica
from unimol2_tasks.stages.scaling_results.law_files import write_fit, write_replicas


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def law(tmp_path: Path) -> str:
    """A law of three replicas, fitted on 0.1M to 1M parameters, steps 1,000 to 4,000, batches of 64."""
    store, out = Store(), str(tmp_path / "law")
    constants = {"a": 0.1, "b": -0.5, "c": 8.0, "d": -0.4, "e": 0.0, "f": 0.0}
    with store.draft(out) as draft:
        facts = {"constants": constants, "sizes": [0.1, 1.0], "steps": [1000, 4000], "batch_size": 64}
        write_fit(draft, facts)
        replicas = [Replica(ScalingLaw(**{**constants, "a": a}), 0.0) for a in (0.09, 0.1, 0.11)]
        write_replicas(draft, replicas)
        return store.publish(draft, out, Recipe("law", {})).uri


def scaling(*words: str) -> Any:
    return CliRunner().invoke(app, ["scaling", *words])


@pytest.mark.parametrize(("millions", "loss"), [("570", "0.0885"), ("1100", "0.0875")])
def test_the_paper_predicts_its_large_models(millions: str, loss: str) -> None:
    assert scaling("predict", "--millions", millions, "--steps", "810000").stdout == f"{loss}\n"


def test_a_fitted_law_predicts_with_an_interval(law: str) -> None:
    done = scaling("predict", "--millions", "1", "--steps", "4000", "--law", law)
    loss, low, high = map(float, done.stdout.split("\t"))
    assert loss == pytest.approx(0.1 + 8 * 4000**-0.4, abs=1e-4)
    assert 0.008 < loss - low < 0.01 < 0.011 > high - loss > 0.008


def test_outside_the_fit_is_said_beside_the_figure(law: str) -> None:
    done = scaling("predict", "--millions", "2", "--steps", "9000", "--law", law)
    assert len(done.stdout.splitlines()) == 1
    assert "2M parameters: this law was fitted on 0.1M to 1M" in done.stderr
    assert "9,000 steps: this law was fitted on 1,000 to 4,000" in done.stderr


def test_a_budget_is_planned_for_people() -> None:
    done = scaling("plan", "--gpu-hours", "5000", "--set", "pretrain.precision=bf16")
    assert done.exit_code == 0, done.output
    for text in ("42M", "1.1B", "GPU hours, spent on one size each", "*", "the best is outside the fit"):
        assert text in done.stdout


def test_and_for_programs_from_a_measured_rate_and_own_sizes(law: str, tmp_path: Path) -> None:
    small = "{blocks: 1, atom_dim: 16, heads: 1, ffn_dim: 16, pair_dim: 8, pair_hidden_dim: 4}"
    middle = "{blocks: 2, atom_dim: 32, heads: 2, ffn_dim: 32, pair_dim: 16, pair_hidden_dim: 8}"
    file = tmp_path / "study.yaml"
    file.write_text(f"pretrain: {{batch_size: 64}}\nstudy: {{sizes: [{small}, {middle}, {{}}]}}\n")
    words = ["--gpu-hours", "0.2", "--params", str(file), "--law", law, "--atoms", "9", "--rate", "600"]
    plan = json.loads(scaling("plan", *words, "--json").stdout)
    tiny = next(one for one in plan["spendings"] if one["name"] == "0.508M")
    assert tiny["rate"] == pytest.approx(600)
    assert tiny["steps"] == pytest.approx(0.2 * 3600 * 600 / 64)
    assert plan["optimum"]["loss"] == min(one["loss"] for one in plan["spendings"])
    assert plan["interval"][0] < plan["optimum"]["loss"] < plan["interval"][1]


def test_a_plan_knows_what_recomputed_activations_cost() -> None:
    """A forward pass more: four instead of three. A measured rate has paid for it already."""
    plans = {}
    for again in ("false", "true"):
        words = ("--gpu-hours", "5000", "--json", "--set", f"pretrain.checkpoint_activations={again}")
        plans[again] = json.loads(scaling("plan", *words).stdout)
    for plain, dearer in zip(
        *([one for one in plans[again]["spendings"] if one["name"]] for again in ("false", "true")),
        strict=True,
    ):
        assert plain["steps"] / dearer["steps"] == pytest.approx(4 / 3, rel=0.01)
        assert plain["loss"] < dearer["loss"]
    measured = ("--set", "pretrain.checkpoint_activations=true", "--set", "model.preset=84M", "--rate", "600")
    of_rate = json.loads(scaling("plan", "--gpu-hours", "5000", "--json", *measured).stdout)
    assert next(one for one in of_rate["spendings"] if one["name"] == "84M")["rate"] == pytest.approx(600)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "--millions", "0", "--steps", "10"], "positive millions"),
        (["plan", "--gpu-hours", "0"], "does not pay one step"),
        (["plan", "--gpu-hours", "10", "--rate", "0"], "--rate 0.0: expected more than 0"),
        (["plan", "--gpu-hours", "10", "--utilisation", "3"], "expected a share above 0 and up to 1"),
        (["study", "--dataset", "d", "--out", "o"], "study.sizes: 0 networks"),
        (["fit", "none", "--out", "law"], "none: no model there"),
        (["report", "--law", "none", "--out", "report"], "none: no law there"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    done = scaling(*words)
    assert isinstance(done.exception, UserError), done.output
    assert message in str(done.exception)


def test_a_plan_counts_parameters_as_its_law_does(law: str, tmp_path: Path) -> None:
    whole = json.loads(scaling("plan", "--gpu-hours", "5000", "--law", law, "--json").stdout)
    facts = json.loads((Path(law) / "law.json").read_text())
    store, out = Store(), str(tmp_path / "of-blocks")
    with store.draft(out) as draft:
        write_fit(draft, facts | {"counted": "blocks"})
        write_replicas(draft, [])
        store.publish(draft, out, Recipe("law", {"counted": "blocks"}))
    blocks = json.loads(scaling("plan", "--gpu-hours", "5000", "--law", out, "--json").stdout)
    pairs = [
        (one["millions"], other["millions"])
        for one, other in zip(
            (one for one in blocks["spendings"] if one["name"]),
            (one for one in whole["spendings"] if one["name"]),
            strict=True,
        )
    ]
    assert all(0.9 * all_of_it < part < all_of_it for part, all_of_it in pairs)
    assert "parameters of blocks" in scaling("plan", "--gpu-hours", "5000", "--law", out).stdout
