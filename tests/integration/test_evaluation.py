"""Evaluation of a predictor: metrics, baselines and report."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.datasets.dataset import open_dataset
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
    np.testing.assert_allclose(frame["weight"].to_numpy(), labels)
    mae = np.abs(frame["weight predicted"].to_numpy() - labels).mean()
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["weight"]["Uni-Mol2"]["mae"] == pytest.approx(mae)
    assert metrics["weight"]["the same again"] == metrics["weight"]["Uni-Mol2"]
    assert "roc_auc" in metrics["aromatic"]["Uni-Mol2"]


def test_the_mean_baseline_has_not_seen_the_test_split(report: Path, tiny_dataset: ArtifactRef) -> None:
    dataset = open_dataset(tiny_dataset.uri)
    weight = list(dataset.label_names).index("weight")
    labels = np.array([dataset.labels(index)[weight] for index in range(len(dataset))])
    test = dataset.indices("test")
    known = np.setdiff1d(np.arange(len(dataset)), test)
    expected = np.abs(labels[test] - labels[known].mean()).mean()
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["weight"][evaluate.MEAN]["mae"] == pytest.approx(expected)


def test_the_report_is_one_page_that_needs_nothing_else(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    for text in ("weight", "fingerprint + random forest", "pretraining", "rows in"):
        assert text in page
