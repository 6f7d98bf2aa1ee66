"""What an evaluation refuses: before inference what can be known then, and answers that are no numbers."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact, Store
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params, PrepareParams
from unimol2_tasks.stages.evaluation import asked
from unimol2_tasks.stages.evaluation.candidates import Candidate
from unimol2_tasks.stages.evaluation.judged import judged_molecules
from unimol2_tasks.training.targets import Target, Targets

Answering = Callable[[np.ndarray], None]


@pytest.fixture
def artifact(tiny_dataset: ArtifactRef) -> LocalArtifact:
    return Store().fetch(tiny_dataset.uri)


@pytest.fixture
def dataset(tiny_dataset: ArtifactRef) -> MoleculeDataset:
    return open_dataset(tiny_dataset.uri)


def _candidate(artifact: LocalArtifact, *members: str, **targets: Any) -> Candidate:
    learnt = tuple(
        Target(name=name, kind=kind, classes=3 if kind == "multiclass" else 1)
        for name, kind in targets.items()
    )
    predicted = Targets(targets=learnt, prepare=PrepareParams())
    folds = {member: number for number, member in enumerate(members)}
    return Candidate(artifact, predicted, members or ("",), folds, is_own=False)


def test_predictors_that_take_one_label_for_different_things_are_not_compared(
    artifact: LocalArtifact, dataset: MoleculeDataset
) -> None:
    one = _candidate(artifact, weight="regression", aromatic="binary")
    other = _candidate(artifact, weight="regression", aromatic="regression")
    message = (
        r"predictor old predicts weight \(regression\), aromatic \(regression\), "
        r"but Uni-Mol2 predicts weight \(regression\), aromatic \(binary\); compare like with like"
    )
    with pytest.raises(UserError, match=message):
        judged_molecules(dataset, artifact, {"Uni-Mol2": one, "old": other}, "test")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("binary", "must be 0 or 1 .*, got 3; it was learnt as binary"),
        ("multiclass", "must be 0 to 2 .*, got 3; it was learnt as multiclass"),
    ],
)
def test_labels_that_are_no_classes_are_refused_before_inference(
    artifact: LocalArtifact, dataset: MoleculeDataset, kind: str, expected: str
) -> None:
    with pytest.raises(UserError, match=f"{artifact.uri}: column weight: class labels {expected}"):
        judged_molecules(dataset, artifact, {"Uni-Mol2": _candidate(artifact, weight=kind)}, "test")


def test_classes_are_judged_where_some_are_missing(artifact: LocalArtifact, dataset: MoleculeDataset) -> None:
    for kind in ("binary", "multiclass"):
        judged = judged_molecules(
            dataset, artifact, {"Uni-Mol2": _candidate(artifact, aromatic=kind)}, "test"
        )
        assert set(judged.labels[:, 0]) == {0.0, 1.0}


@pytest.fixture
def answering(dataset: MoleculeDataset, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Inference by two networks that say 1 of everything, but for what the test changes."""

    def answer(answers: np.ndarray) -> None:
        monkeypatch.setattr(asked, "infer", lambda *_: answers)

    return answer


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_not_taken_for_molecules_that_must_not_be_asked(
    artifact: LocalArtifact, dataset: MoleculeDataset, answering: Answering, tmp_path: Path, value: float
) -> None:
    answers = np.ones((len(dataset), 2, 1))
    answers[[4, 9], 1] = value
    answering(answers)
    candidate = _candidate(artifact, "fold-0-seed-1", "fold-1-seed-1", weight="regression")
    molecules = SimpleNamespace(folds=np.arange(len(dataset)) % 2, id=dataset.id, smiles=dataset.smiles)
    message = (
        f"predictor {artifact.uri}: .* 2 of 40 .*molecule {dataset.id(4)}, .*of fold-1-seed-1; fine-tune"
    )
    with pytest.raises(UserError, match=message):
        asked.ask(candidate, molecules, artifact, Params(), tmp_path)  # type: ignore[arg-type]
    answering(np.ones((len(dataset), 2, 1)))
    found = asked.ask(candidate, molecules, artifact, Params(), tmp_path)  # type: ignore[arg-type]
    assert found.values.tolist() == [[1.0]] * len(dataset)


def test_a_single_network_is_refused_by_the_name_of_its_predictor(
    artifact: LocalArtifact, dataset: MoleculeDataset, answering: Answering, tmp_path: Path
) -> None:
    answering(np.full((len(dataset), 1, 1), np.nan))
    with pytest.raises(UserError, match=r"40 of 40 molecules .*; fine-tune again"):
        asked.ask(_candidate(artifact, weight="regression"), dataset, artifact, Params(), tmp_path)
