"""Evaluation tells methods and molecules apart by their names."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact, Store
from unimol2_tasks.chemistry.applicability import TRAINING
from unimol2_tasks.cli import app
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.datasets.shards import SPLITS_FILE
from unimol2_tasks.errors import UserError
from unimol2_tasks.evaluation.baselines import BaselineTask, descriptor_baselines, fingerprint_baselines
from unimol2_tasks.params import Params
from unimol2_tasks.stages.evaluate import EvaluateInputs, run
from unimol2_tasks.stages.evaluation.candidates import Candidate
from unimol2_tasks.stages.evaluation.fitted import BASELINES, MEAN
from unimol2_tasks.stages.evaluation.judged import Judged
from unimol2_tasks.stages.evaluation.neighbours import neighbours
from unimol2_tasks.training.network import MEMBERS


@pytest.mark.parametrize(
    ("compare", "curves", "message"),
    [
        ({"Uni-Mol2": "a"}, {}, "--compare Uni-Mol2=a: Uni-Mol2 is what the judged predictor is called"),
        ({MEAN: "a"}, {}, "is a baseline; choose another name"),
        ({"old": "a"}, {"old": "b"}, "--curves old=b: old is already the name of a"),
        ({}, {"dataset": "b"}, "--curves dataset=b: dataset is what the report calls its molecules"),
    ],
)
def test_a_taken_name_is_refused_before_anything_is_fetched(
    compare: dict[str, str], curves: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(Params(), EvaluateInputs("nowhere", "nowhere", compare, curves), "nowhere")


@pytest.mark.parametrize("option", ["--compare", "--curves"])
def test_a_name_that_is_given_twice_is_refused(option: str) -> None:
    given = ["--predictor", "p", "--dataset", "d", "--out", "o", option, "old=a", option, "old=b"]
    with pytest.raises(UserError, match=f"{option} old=b: old is already the name of a"):
        CliRunner().invoke(app, ["evaluate", *given], catch_exceptions=False)


def test_baselines_are_called_what_is_refused() -> None:
    features, labels = np.eye(12, dtype=np.uint8), np.arange(12) % 2.0
    found = {MEAN}
    for kind in ("regression", "binary"):
        task = BaselineTask(kind, 1, 0, n_jobs=1)
        for fit in (fingerprint_baselines, descriptor_baselines):
            found |= set(fit(features, labels, features, task))
    assert found == set(BASELINES)


@pytest.fixture
def own(small_ensemble: ArtifactRef, tiny_dataset: ArtifactRef, tmp_path: Path) -> LocalArtifact:
    """A cross-validated predictor that says it was trained on folds of the tiny dataset."""
    shutil.copytree(small_ensemble.uri, tmp_path / "own")
    for fold, member in enumerate(sorted((tmp_path / "own" / MEMBERS).iterdir())):
        member.rename(member.with_name(f"fold-{fold}-seed-0"))
    parents = {"dataset": Store().fetch(tiny_dataset.uri).manifest.digest}
    manifest = Store().fetch(small_ensemble.uri).manifest.model_copy(update={"parents": parents})
    return LocalArtifact(tmp_path / "own", str(tmp_path / "own"), manifest)


def test_folds_of_a_dataset_in_which_names_repeat_are_refused(
    own: LocalArtifact, tiny_dataset: ArtifactRef, tmp_path: Path
) -> None:
    dataset = Store().fetch(tiny_dataset.uri)
    assert Candidate.of(own, dataset).is_cross_validated
    splits = pl.read_parquet(dataset.path / SPLITS_FILE)
    ids = ["one", "benzene", "benzene", *splits["id"][3:]]
    splits.with_columns(id=pl.Series(ids)).write_parquet(tmp_path / SPLITS_FILE)
    with pytest.raises(UserError, match=r"id 'benzene' names 2 molecules.*--id-column"):
        Candidate.of(own, LocalArtifact(tmp_path, str(tmp_path), dataset.manifest))


def test_a_neighbour_whose_name_repeats_has_no_position(
    own: LocalArtifact, tiny_dataset: ArtifactRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact, dataset = Store().fetch(tiny_dataset.uri), open_dataset(tiny_dataset.uri)
    names = [dataset.id(index) for index in range(len(dataset))]
    names[3] = names[7] = "same"
    monkeypatch.setattr(dataset, "id", names.__getitem__)
    training = pl.read_parquet(own.path / TRAINING)
    training.with_columns(id=pl.Series(["same", names[1], names[2]])).write_parquet(own.path / TRAINING)
    predictor = Candidate.of(own, artifact)
    single = Candidate(predictor.artifact, predictor.targets, ("",), {}, is_own=True)
    indices = np.arange(len(dataset))
    judged = Judged(
        dataset, artifact, single.targets, np.zeros((len(dataset), 3)), indices, ((indices, indices),), "test"
    )
    found = neighbours(single, judged)
    places = {"same": -1, names[1]: 1, names[2]: 2}
    assert found.positions.tolist() == [places[name] for name in found.ids]
