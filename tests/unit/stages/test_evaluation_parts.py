"""What evaluation consists of, each by itself."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import polars as pl
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.evaluation.report import render_report
from unimol2_tasks.evaluation.uncertainty import conformal_halfwidth
from unimol2_tasks.params import Params, PrepareParams
from unimol2_tasks.stages.evaluation import intervals as intervals_module
from unimol2_tasks.stages.evaluation import page as page_module
from unimol2_tasks.stages.evaluation import scores as scores_module
from unimol2_tasks.stages.evaluation.asked import Asked
from unimol2_tasks.stages.evaluation.candidates import Candidate
from unimol2_tasks.stages.evaluation.intervals import Calibration
from unimol2_tasks.stages.evaluation.judged import Judged, judged_molecules
from unimol2_tasks.stages.evaluation.neighbours import Neighbours
from unimol2_tasks.stages.evaluation.page import report
from unimol2_tasks.stages.evaluation.parts import group_tables, groupings
from unimol2_tasks.stages.evaluation.printed import check_benchmark, published_rows
from unimol2_tasks.stages.evaluation.scores import Scores
from unimol2_tasks.stages.evaluation.tables import write_figures, write_predictions
from unimol2_tasks.stages.evaluation.units import bare_name, unit_of
from unimol2_tasks.training.targets import Target, TargetKind, Targets

NAN = np.nan


@pytest.fixture
def three_classes(tiny_dataset: ArtifactRef) -> Scores:
    """An ensemble of two networks that predict three classes of the tiny dataset; one has no molecule."""
    artifact, dataset = Store().fetch(tiny_dataset.uri), open_dataset(tiny_dataset.uri)
    targets = Targets(
        targets=(Target(name="aromatic", kind="multiclass", classes=3),), prepare=PrepareParams()
    )
    # Judged on valid, for which there are no intervals, so that no file of a predictor is read.
    candidate = Candidate(artifact, targets, ("seed-0", "seed-1"), {}, is_own=True)
    random = np.random.default_rng(0)
    members = {name: random.dirichlet([1, 1, 1], len(dataset)) for name in candidate.members}
    judged = judged_molecules(dataset, artifact, {"Uni-Mol2": candidate}, "valid")
    m = len(judged.indices)
    near = Neighbours(np.linspace(0.2, 1.0, m), ["m0"] * m, np.zeros(m, np.int64))
    params = Params().evaluate.model_copy(update={"split": "valid", "bootstrap": 10, "baselines": ()})
    return Scores(judged, {"Uni-Mol2": Asked(candidate, members)}, near, params)


def test_a_molecule_has_the_mean_and_spread_of_the_networks_that_may_be_asked() -> None:
    asked = Asked(
        Candidate(None, None, ("a", "b", "c"), {}, True),  # type: ignore[arg-type]
        {
            "a": np.array([[1.0], [NAN], [NAN]]),
            "b": np.array([[3.0], [5.0], [NAN]]),
            "c": np.array([[NAN], [NAN], [NAN]]),
        },
    )
    assert asked.values[:2].tolist() == [[2.0], [5.0]]
    assert np.isnan(asked.values[2]).all()
    assert asked.spread is not None
    assert asked.spread[0].tolist() == pytest.approx([np.std([1, 3], ddof=1)])
    assert np.isnan(asked.spread[1:]).all()


def test_a_single_network_has_no_spread() -> None:
    candidate = Candidate(None, None, ("",), {}, True)  # type: ignore[arg-type]
    assert Asked(candidate, {"": np.ones((4, 2))}).spread is None


def test_intervals_of_a_fold_never_rest_on_its_own_errors() -> None:
    errors = np.arange(1.0, 31.0)[:, None]
    folds = np.arange(30) % 3
    widths = Calibration(errors, folds, folds).halfwidths(0, 0.8)
    for fold in range(3):
        assert set(widths[folds == fold]) == {conformal_halfwidth(errors[folds != fold], 0.8)}
    shared = Calibration(errors, np.full(30, -1), np.full(5, -1)).halfwidths(0, 0.8)
    assert set(shared) == {conformal_halfwidth(errors, 0.8)}


def test_a_molecule_of_a_single_network_leaves_the_spread_of_the_others_defined(
    three_classes: Scores, tmp_path: Path
) -> None:
    asked, judged = three_classes.predictors["Uni-Mol2"], three_classes.judged
    members = {name: values.copy() for name, values in asked.members.items()}
    members["seed-1"][judged.indices[0]] = NAN
    scores = replace(three_classes, predictors={"Uni-Mol2": replace(asked, members=members)})
    results = scores.results()
    write_predictions(tmp_path / "predictions.csv", scores, results)
    spread = pl.read_csv(tmp_path / "predictions.csv")["std:aromatic"].to_list()
    assert spread[0] is None
    assert results[0].rows[0].metrics["spread"] == pytest.approx(np.mean(spread[1:]))
    assert "Error and spread" in render_report(report(scores, results, {}))


def test_the_report_calibrates_a_logarithm_on_logarithms(
    three_classes: Scores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, asked = three_classes.judged, three_classes.predictors["Uni-Mol2"]
    target = Target(name="clearance", kind="regression", scaling="log")
    targets = Targets(targets=(target,), prepare=PrepareParams())
    n = len(judged.labels)
    candidate = replace(asked.candidate, targets=targets, is_own=False)
    predicted = np.geomspace(1e-3, 1e3, n)[:, None]
    # Every second label is off by a factor of 4, the others by none; intervals are of a factor of 2.
    labels = predicted * np.where(np.arange(n) % 2, 4.0, 1.0)[:, None]
    known = (["v"] * 20, np.geomspace(0.1, 10, 20)[:, None], 2 * np.geomspace(0.1, 10, 20)[:, None])
    monkeypatch.setattr(intervals_module, "read_predictions", lambda *_: known)
    scores = replace(
        three_classes,
        judged=replace(judged, targets=targets, labels=labels),
        predictors={"Uni-Mol2": Asked(candidate, {"": predicted})},
    )
    results = scores.results()
    write_predictions(tmp_path / "predictions.csv", scores, results)
    frame = pl.read_csv(tmp_path / "predictions.csv")
    own = predicted[judged.indices, 0]
    assert frame["lower:clearance"].to_numpy() == pytest.approx(own / 2)
    assert frame["upper:clearance"].to_numpy() == pytest.approx(2 * own)
    metrics = results[0].rows[0].metrics
    assert metrics["coverage_90"] == pytest.approx(np.mean(judged.indices % 2 == 0))
    assert metrics["interval_width_90"] == pytest.approx(1.5 * own.mean())
    page = render_report(report(scores, results, {}))
    assert "The band is the 90 % interval, the prediction divided and multiplied by 2.00." in page


def test_several_classes_go_through_to_the_page(three_classes: Scores, tmp_path: Path) -> None:
    results = three_classes.results()
    page = render_report(report(three_classes, results, {}))
    for text in (
        "Balanced accuracy",
        "Confusion",
        "Reliability",
        "Error and spread",
        "An ensemble of 2 networks",
    ):
        assert text in page
    write_figures(tmp_path, results)
    write_predictions(tmp_path / "predictions.csv", three_classes, results)
    header = (tmp_path / "predictions.csv").read_text().splitlines()[0]
    assert header == (
        "id,smiles,label:aromatic,prediction:aromatic=0,prediction:aromatic=1,prediction:aromatic=2,"
        "class:aromatic,std:aromatic,nearest training molecule,similarity"
    )


def test_a_spreadsheet_finds_no_formula_among_the_judged_molecules(
    three_classes: Scores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(three_classes.judged.dataset, "id", lambda index: f"=HYPERLINK({index})")
    near = three_classes.neighbours
    scores = replace(three_classes, neighbours=replace(near, ids=["@SUM(A1)", "-12.5", *near.ids[2:]]))
    write_predictions(tmp_path / "predictions.csv", scores, scores.results())
    frame = pl.read_csv(tmp_path / "predictions.csv", infer_schema=False)
    assert frame["id"].str.starts_with("'=HYPERLINK(").all()
    assert frame["nearest training molecule"].head(3).to_list() == ["'@SUM(A1)", "-12.5", near.ids[2]]


@pytest.mark.parametrize(("kind", "classes"), [("regression", 1), ("binary", 1), ("multiclass", 3)])
def test_a_target_that_no_judged_molecule_has_a_label_of_is_said_and_harms_no_other(
    three_classes: Scores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: TargetKind, classes: int
) -> None:
    judged, asked = three_classes.judged, three_classes.predictors["Uni-Mol2"]
    empty = Target(name="solubility", kind=kind, classes=classes)
    targets = Targets(targets=(*judged.targets.targets, empty), prepare=PrepareParams())
    labels = np.column_stack([judged.labels, np.full(len(judged.labels), NAN)])
    members = {name: np.column_stack([values, values[:, :classes]]) for name, values in asked.members.items()}
    scores = replace(
        three_classes,
        judged=replace(judged, targets=targets, labels=labels),
        predictors={"Uni-Mol2": Asked(replace(asked.candidate, targets=targets), members)},
        params=three_classes.params.model_copy(update={"baselines": ("fingerprint",)}),
    )
    errors = np.linspace(0.1, 1.0, 20)[:, None] * np.ones(3 + classes)
    none = np.full(len(judged.indices), -1)
    monkeypatch.setattr(scores_module, "calibration", lambda *_: Calibration(errors, np.full(20, -1), none))
    results = scores.results()
    contents = report(scores, results, {})
    assert contents.data_card["solubility"] == "no labels"
    assert contents.data_card["aromatic"].startswith("8 labels: ")
    assert "no labels" in render_report(contents)
    write_figures(tmp_path, results)
    write_predictions(tmp_path / "predictions.csv", scores, results)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["solubility"]["Uni-Mol2"] == {"n": 0.0}
    assert {"accuracy", "spread"} <= set(metrics["aromatic"]["Uni-Mol2"])


def test_a_scaffold_is_seen_where_a_training_molecule_with_this_label_has_it(three_classes: Scores) -> None:
    judged = three_classes.judged
    codes = judged.dataset.scaffold_codes

    def seen(labels: np.ndarray) -> int:
        (target,) = judged.targets.targets
        scores = replace(three_classes, judged=replace(judged, labels=labels))
        asked = scores.predictors["Uni-Mol2"]
        methods = {"Uni-Mol2": scores.predictions("Uni-Mol2", target)}
        tables = group_tables(scores.judged, asked, [], target, methods, scores.params)
        parts = {
            score.group: score.n for table in tables if table.name == "novelty" for score in table.scores
        }
        return parts.get("seen in training", 0)

    train = judged.dataset.indices("train")
    known = int(np.isin(codes[judged.indices], codes[train]).sum())
    assert 0 < seen(judged.labels) == known
    unlabelled = judged.labels.copy()
    unlabelled[train] = NAN
    # What is left has taught nothing: it is what the network was chosen by, or kept for testing.
    assert seen(unlabelled) == 0


def test_similar_scaffolds_are_scored_together_as_a_split_by_them_keeps_them_together() -> None:
    anilides = ["O=C(Nc1ccccc1)c1ccccc1"] * 3 + ["O=C(Nc1ccccc1)c1ccccn1", "O=C(Nc1ccccc1)c1cccnc1"]
    scaffolds = [*anilides, *["C1CCNCC1"] * 6, *[""] * 5, "c1ccc2ccccc2c1"]
    judged, near = _with_scaffolds(scaffolds, similarity=0.4)
    found = groupings(judged, near)[-1].members
    assert {name: np.flatnonzero(inside).tolist() for name, inside in found.items()} == {
        "C1CCNCC1": [*range(5, 11)],
        anilides[0]: [*range(5)],
        "acyclic": [*range(11, 16)],
        "other clusters": [16],
    }
    apart, near = _with_scaffolds(scaffolds, similarity=1.0)
    assert anilides[0] not in groupings(apart, near)[-1].members


def test_molecules_without_any_ring_are_one_part() -> None:
    judged, near = _with_scaffolds([""] * 6, similarity=0.4)
    assert {name: int(inside.sum()) for name, inside in groupings(judged, near)[-1].members.items()} == {
        "acyclic": 6,
        "other clusters": 0,
    }


def _with_scaffolds(scaffolds: list[str], similarity: float) -> tuple[Judged, Neighbours]:
    """Judged molecules of which only their scaffolds are known."""
    n = len(scaffolds)
    dataset = SimpleNamespace(scaffold=scaffolds.__getitem__, atoms=np.full(n, 9))
    artifact = SimpleNamespace(manifest=SimpleNamespace(params={"split_similarity": similarity}))
    judged = SimpleNamespace(dataset=dataset, artifact=artifact, indices=np.arange(n))
    return cast(Judged, judged), Neighbours(np.linspace(0.2, 1.0, n), ["m0"] * n, np.zeros(n, np.int64))


def test_the_worst_molecules_are_those_whose_class_seemed_least_likely(three_classes: Scores) -> None:
    results = three_classes.results()
    worst = report(three_classes, results, {}).worst
    probability = np.asarray(results[0].y_pred)
    right = probability[np.arange(len(probability)), np.asarray(results[0].y_true).astype(int)]
    names = [three_classes.judged.ids[place] for place in np.argsort(right)[: len(worst)]]
    assert [molecule.name for molecule in worst] == names
    assert all(molecule.neighbour is not None for molecule in worst)


def test_every_target_with_labels_has_its_own_worst_predictions(three_classes: Scores) -> None:
    judged, asked = three_classes.judged, three_classes.predictors["Uni-Mol2"]
    (aromatic,) = judged.targets.targets
    unlabelled = Target(name="solubility", kind="regression")
    weight = Target(name="weight", kind="regression")
    targets = Targets(targets=(unlabelled, aromatic, weight), prepare=PrepareParams())
    n = len(judged.labels)
    labels = np.column_stack([np.full(n, NAN), judged.labels, np.arange(n)])
    answers = {name: np.column_stack([np.zeros(n), own, np.zeros(n)]) for name, own in asked.members.items()}
    scores = replace(
        three_classes,
        judged=replace(judged, targets=targets, labels=labels),
        predictors={"Uni-Mol2": Asked(replace(asked.candidate, targets=targets), answers)},
        params=three_classes.params.model_copy(update={"worst": 2}),
    )
    contents = report(scores, scores.results(), {})
    assert [found.target for found in contents.worst] == ["aromatic"] * 2 + ["weight"] * 2
    assert [found.y_true for found in contents.worst[2:]] == sorted(judged.indices)[:-3:-1]
    page = render_report(contents)
    assert re.findall(r"<details(.*?)>\s*<summary>(\w+)", page) == [
        (' class="fold" open', "aromatic"),
        (' class="fold"', "weight"),
    ]


def test_on_another_dataset_the_summary_says_what_the_baselines_learnt_from(three_classes: Scores) -> None:
    judged, asked = three_classes.judged, three_classes.predictors["Uni-Mol2"]
    other = replace(asked, candidate=replace(asked.candidate, is_own=False))
    scores = replace(three_classes, predictors={"Uni-Mol2": other})
    said = "The baselines learnt from the train and valid splits of this one"
    assert said not in report(three_classes, [], {}).summary
    assert said in report(scores, [], {}).summary
    none = judged.indices[:0]
    external = replace(scores, judged=replace(judged, parts=((judged.indices, none),)))
    assert said not in report(external, [], {}).summary


def test_on_another_dataset_the_summary_counts_what_the_network_may_have_learnt_from(
    three_classes: Scores,
) -> None:
    asked, near = three_classes.predictors["Uni-Mol2"], three_classes.neighbours
    other = replace(asked, candidate=replace(asked.candidate, is_own=False))
    apart = replace(near, similarity=near.similarity.clip(max=0.9))
    for found, said in (
        (near, "trained on another dataset, which by their fingerprints has 1 of these molecules, too."),
        (apart, "trained on another dataset."),
    ):
        scores = replace(three_classes, predictors={"Uni-Mol2": other}, neighbours=found)
        assert said in report(scores, [], {}).summary


def test_the_lineage_tells_a_pretrained_predictor_from_one_that_began_at_random(
    three_classes: Scores,
    small_predictor: ArtifactRef,
    small_model: ArtifactRef,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page_module, "training_curves", lambda _: [])
    model, scratch = Store().fetch(small_model.uri), Store().fetch(small_predictor.uri)
    dataset = three_classes.judged.artifact.manifest
    parents = {"dataset": dataset.digest, "model": model.manifest.digest}
    pretrained = replace(
        scratch, manifest=scratch.manifest.model_copy(update={"parents": parents, "digest": "b" * 64})
    )
    without = replace(
        scratch, manifest=scratch.manifest.model_copy(update={"parents": {"dataset": dataset.digest}})
    )
    artifacts = {"pretraining": model, "Uni-Mol2": pretrained, "scratch": without}
    contents = report(three_classes, three_classes.results(), artifacts)
    steps = {step.name: step for step in contents.lineage}
    labelled = ("dataset, labelled data", dataset.digest)
    assert steps["labelled data"].made_from == [("table", dataset.parents["table"])]
    assert steps["Uni-Mol2"].made_from == [labelled, ("model, pretraining", model.manifest.digest)]
    assert steps["scratch"].made_from == [labelled, ("random weights", "")]
    page = render_report(contents)
    assert f"made by version {dataset.code_version}" in page
    assert f"from table <code>{dataset.parents['table']}</code>" in page
    assert page.count("from random weights") == len(
        [step for step in contents.lineage if ("random weights", "") in step.made_from]
    )


@pytest.mark.parametrize(
    ("label", "unit", "bare"),
    [
        ("gap_eV", "eV", "gap"),
        ("dipole (debye)", "debye", "dipole"),
        ("logD", "", "logD"),
        ("half_life", "", "half_life"),
        ("LOG HLM_CLint (mL/min/kg)", "log mL/min/kg", "LOG HLM_CLint"),
        ("LOG MDR1-MDCK ER (B-A/A-B)", "", "LOG MDR1-MDCK ER (B-A/A-B)"),
        ("clearance (mL min-1 kg-1)", "mL min-1 kg-1", "clearance"),
        ("LOG PLASMA PROTEIN BINDING (RAT) (% unbound)", "log % unbound", "LOG PLASMA PROTEIN BINDING (RAT)"),
        ("LOG SOLUBILITY PH 6.8 (ug/mL)", "log ug/mL", "LOG SOLUBILITY PH 6.8"),
        ("logS (mol/L)", "log mol/L", "logS"),
        ("S (log mol/L)", "log mol/L", "S"),
        ("log S (log mol/L)", "log mol/L", "log S"),
        ("permeability (10^-6 cm/s)", "10^-6 cm/s", "permeability"),
        ("polarisability (Å^3)", "Å^3", "polarisability"),
        ("IC50 (nM)", "nM", "IC50"),
        ("pIC50 (mean of 3)", "", "pIC50 (mean of 3)"),
        ("activity (human)", "", "activity (human)"),
        ("yield (2)", "", "yield (2)"),
        ("logical_eV", "eV", "logical"),
    ],
)
def test_units_are_read_off_the_name_of_a_label(label: str, unit: str, bare: str) -> None:
    assert unit_of(label, {}) == unit
    assert unit_of(label, {label: "furlong"}) == "furlong"
    assert bare_name(label) == bare


def test_published_scores_of_a_target_say_what_they_are() -> None:
    rows = published_rows("compas-1d", Target(name="aIP_eV", kind="regression"), "eV")
    # Uni-Mol2, table 5.
    assert {row.method: row.metrics["mae"] for row in rows}["Uni-Mol2 1.1B"] == 0.0080
    assert {row.role for row in rows} == {"published"}
    assert {row.note for row in rows} == {""}
    gap = published_rows("qm9", Target(name="gap_eV", kind="regression"), "eV")
    assert {row.note for row in gap} == {"mean of homo, lumo, gap, in Hartree"}
    for label in ("homo", "lumo", "gap"):
        scarce = published_rows("qm9-little-data", Target(name=label, kind="regression"), "Hartree")
        assert {row.note: row.metrics["mae"] for row in scarce if row.method == "Uni-Mol2 84M"} == {
            f"mean of homo, lumo, gap, training set of {share} % of the test set": value
            for share, value in ((50, 0.0062), (100, 0.0053), (200, 0.0046))
        }
    assert published_rows("qm9", Target(name="solubility", kind="regression"), "") == []
    assert published_rows(None, Target(name="gap", kind="regression"), "eV") == []


def test_a_benchmark_that_nobody_published_is_refused() -> None:
    with pytest.raises(UserError, match=r"no such benchmark; known are .*qm9"):
        check_benchmark("qm10")
    check_benchmark("qm9")
    check_benchmark(None)
