"""Evaluation of a predictor: metrics, baselines and report."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params
from unimol2_tasks.stages import evaluate


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_params: Params,
    tiny_predictor: ArtifactRef,
    tiny_dataset: ArtifactRef,
    tiny_model: ArtifactRef,
) -> Path:
    out = tmp_path_factory.mktemp("evaluation") / "report"
    inputs = evaluate.EvaluateInputs(
        tiny_predictor.uri,
        tiny_dataset.uri,
        {"the same again": tiny_predictor.uri},
        {"pretraining": tiny_model.uri},
    )
    evaluate.run(tiny_params, inputs, str(out))
    return out


def test_the_metrics_are_those_of_the_predictions_on_the_test_split(
    report: Path, tiny_dataset: ArtifactRef
) -> None:
    dataset = open_dataset(tiny_dataset.uri)
    test = dataset.indices("test")
    frame = pl.read_csv(report / "predictions.csv")
    assert frame["id"].to_list() == [dataset.id(int(index)) for index in test]
    weight = list(dataset.label_names).index("weight")
    labels = np.array([dataset.labels(int(index))[weight] for index in test])
    np.testing.assert_allclose(frame["label:weight"].to_numpy(), labels)
    mae = np.abs(frame["prediction:weight"].to_numpy() - labels).mean()
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["weight"]["Uni-Mol2"]["mae"] == pytest.approx(mae)
    assert metrics["weight"]["the same again"] == metrics["weight"]["Uni-Mol2"]
    assert "roc_auc" in metrics["aromatic"]["Uni-Mol2"]


def test_an_interrupted_evaluation_does_not_ask_the_networks_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_params: Params,
    tiny_predictor: ArtifactRef,
    tiny_dataset: ArtifactRef,
) -> None:
    inputs, out = evaluate.EvaluateInputs(tiny_predictor.uri, tiny_dataset.uri), tmp_path / "report"
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "write_figures", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            evaluate.run(tiny_params, inputs, str(out))
    assert not out.exists()
    marked = list(tmp_path.glob(".work/report-*/predictor-0/values/*.npy"))
    for file in marked:
        np.save(file, np.full_like(np.load(file), 0.25))
    assert marked
    evaluate.run(tiny_params, inputs, str(out))
    assert set(pl.read_csv(out / "predictions.csv")["prediction:weight"]) == {0.25}
    assert not (tmp_path / ".work").exists()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_mean_baseline_has_not_seen_the_test_split(report: Path, tiny_dataset: ArtifactRef) -> None:
    dataset = open_dataset(tiny_dataset.uri)
    weight = list(dataset.label_names).index("weight")
    labels = np.array([dataset.labels(index)[weight] for index in range(len(dataset))])
    test = dataset.indices("test")
    known = np.setdiff1d(np.arange(len(dataset)), test)
    expected = np.abs(labels[test] - labels[known].mean()).mean()
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["weight"][evaluate.MEAN]["mae"] == pytest.approx(expected)


def test_every_score_has_its_interval(report: Path) -> None:
    metrics, intervals = (
        json.loads((report / name).read_text(encoding="utf-8")) for name in ("metrics.json", "intervals.json")
    )
    for method, scores in metrics["weight"].items():
        low, high = intervals["weight"][method]["mae"]
        assert low <= scores["mae"] <= high


def test_every_split_is_scored_and_a_single_network_is_its_only_member(report: Path) -> None:
    groups, members, metrics = (
        json.loads((report / f"{name}.json").read_text(encoding="utf-8"))["weight"]
        for name in ("groups", "members", "metrics")
    )
    assert {name: part["n"] for name, part in groups["split"].items()} == {
        "train, learnt from": 24, "valid, chosen by": 8, "test": 8,
    }  # fmt: skip
    assert groups["split"]["test"]["metrics"]["Uni-Mol2"]["mae"] == pytest.approx(metrics["Uni-Mol2"]["mae"])
    assert members["mae"] == {
        "mean": metrics["Uni-Mol2"]["mae"], "std": None, "values": [metrics["Uni-Mol2"]["mae"]],
    }  # fmt: skip


def test_eight_molecules_are_too_few_for_an_interval_of_90_percent(report: Path) -> None:
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    assert "coverage_90" not in metrics["weight"]["Uni-Mol2"]
    coverage = json.loads((report / "coverage.json").read_text(encoding="utf-8"))["weight"]
    # With n molecules the highest level is n / (n + 1).
    assert max(found["level"] for found in coverage) == 0.85


def test_the_nearest_molecule_is_one_that_was_trained_on(report: Path, tiny_dataset: ArtifactRef) -> None:
    dataset = open_dataset(tiny_dataset.uri)
    trained = {dataset.id(int(index)) for index in dataset.indices("train")}
    frame = pl.read_csv(report / "predictions.csv")
    assert set(frame["nearest training molecule"]) <= trained
    assert frame["similarity"].is_between(0, 1).all()


def test_the_page_shows_the_parameters_that_things_were_made_with(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    for section in ("prepare", "evaluate", "Uni-Mol2: finetune", "Uni-Mol2: model", "pretraining: pretrain"):
        assert f"<h4>{section}</h4>" in page
    assert "<h4>launch</h4>" not in page


def test_an_unknown_benchmark_is_refused_before_anything_is_computed(
    tiny_params: Params, tiny_predictor: ArtifactRef, tiny_dataset: ArtifactRef, tmp_path: Path
) -> None:
    changed = tiny_params.evaluate.model_copy(update={"published": "qm10"})
    inputs = evaluate.EvaluateInputs(tiny_predictor.uri, tiny_dataset.uri)
    with pytest.raises(UserError, match=r"evaluate\.published: qm10"):
        evaluate.run(tiny_params.model_copy(update={"evaluate": changed}), inputs, str(tmp_path / "report"))


def test_the_report_is_one_page_that_needs_nothing_else(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    for text in (
        "weight",
        "fingerprint + random forest",
        "descriptors + gradient boosting",
        "pretraining",
        "rows in",
    ):
        assert text in page
