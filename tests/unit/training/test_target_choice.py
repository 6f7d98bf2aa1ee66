"""Which labels are learnt, as what and on which scale; what is refused says which molecule it is."""

from typing import Any

import numpy as np
import pytest

from unimol2_tasks.datasets.views import View
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.training.target_choice import Labels, choose_targets
from unimol2_tasks.training.targets import Target, Targets

NAMES = ("solubility", "toxic", "pka", "site")
UNKNOWN = np.nan
LABELS = np.array(
    [
        [1.0, 0.0, UNKNOWN, 2.0],
        [3.0, 1.0, 7.0, 0.0],
        [5.0, UNKNOWN, 9.0, 2.0],
        [1e6, 1.0, -1e6, 3.0],
    ]
)
TRAIN = np.array([0, 1, 2])


def _choose(
    values: Any = LABELS, train: Any = TRAIN, stored: int = 10, **params: Any
) -> tuple[Targets, list[int]]:
    labels = Labels(NAMES, values, lambda index: f"row {index + 1} (mol-{index})")
    targets, places = choose_targets(labels, train, FinetuneParams(**params), PrepareParams(), stored)
    return targets, places.tolist()


def _target(name: str, values: Any = LABELS, **params: Any) -> Target:
    return _choose(values, targets=(name,), **params)[0].targets[0]


def test_scales_come_from_the_training_molecules_that_have_the_label() -> None:
    targets, places = _choose()
    assert places == [0, 1, 2, 3]
    assert [target.mean for target in targets.targets] == pytest.approx([3.0, 0.0, 8.0, 4 / 3])
    assert [target.std for target in targets.targets][:3] == pytest.approx([np.sqrt(8 / 3), 1.0, 1.0])


def test_a_logarithmic_scale_is_that_of_the_natural_logarithms() -> None:
    target = _target("solubility", scaling={"solubility": "log"})
    logarithms = np.log([1.0, 3.0, 5.0])
    assert (target.scaling, target.mean, target.std) == (
        "log", pytest.approx(logarithms.mean()), pytest.approx(logarithms.std()),
    )  # fmt: skip


def test_a_class_has_no_scale() -> None:
    with pytest.raises(UserError, match=r"finetune\.scaling: toxic is binary, .*leave it out"):
        _target("toxic", scaling={"toxic": "log"})
    assert _target("toxic", scaling="log").kind == "binary"


def test_a_label_can_be_left_as_it_is() -> None:
    assert _target("solubility", scaling="none") == Target(name="solubility", kind="regression")


def test_a_label_without_a_logarithm_is_refused_with_its_molecule() -> None:
    with pytest.raises(UserError, match=r"label pka: .*is log, but 1 .*-1e\+06, of row 4 \(mol-3\)"):
        _target("pka", scaling="log")


def test_zeros_and_ones_are_guessed_to_be_classes_and_whole_numbers_never() -> None:
    assert [target.kind for target in _choose()[0].targets] == [
        "regression", "binary", "regression", "regression",
    ]  # fmt: skip


def test_a_class_with_a_third_value_outside_the_training_split_is_none() -> None:
    labels = LABELS.copy()
    labels[3, 1] = 2.0
    assert _target("toxic", labels).kind == "regression"


def test_a_label_has_as_many_classes_as_its_largest_known_number() -> None:
    target = _target("site", task={"site": "multiclass"})
    assert (target.kind, target.classes, target.class_weights) == ("multiclass", 4, ())


def test_balanced_classes_count_alike() -> None:
    """Two molecules of class 2, one of class 0, and no molecule of 1 and 3, whose weight is neutral."""
    target = _target("site", task="multiclass", class_weights="balanced")
    assert target.class_weights == pytest.approx([3 / 4, 1.0, 3 / 8, 1.0])
    assert _target("toxic", class_weights="balanced").class_weights == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("value", "task", "expected"),
    [
        (3.0, "binary", r"label site: finetune\.task is binary, .*3, of row 4 \(mol-3\); expected 0 or 1"),
        (1.5, "multiclass", r"label site: .*is multiclass, .*1\.5, of row 4 .*a whole number from 0 to 999"),
        (-1.0, "multiclass", r"label site: .*is multiclass, .*-1, of row 4"),
        (2e6, "multiclass", r"label site: .*is multiclass, .*2e\+06, of row 4"),
    ],
)
def test_what_is_no_class_is_refused_with_its_molecule(value: float, task: str, expected: str) -> None:
    labels = LABELS.copy()
    labels[:3, 3] = [0.0, 1.0, 0.0]
    labels[3, 3] = value
    with pytest.raises(UserError, match=expected):
        _target("site", labels, task=task)


def test_a_task_for_a_label_that_is_not_learnt_is_refused() -> None:
    with pytest.raises(UserError, match=r"finetune\.task: sight is no target; the targets are: site"):
        _target("site", task={"sight": "multiclass"})
    with pytest.raises(UserError, match=r"finetune\.scaling: pka is no target"):
        _target("site", scaling={"pka": "log"})


def test_zeros_and_ones_can_be_learned_as_numbers() -> None:
    target = _target("toxic", task="regression")
    assert (target.kind, target.mean) == ("regression", 0.5)


def test_chosen_targets_keep_the_order_they_were_asked_for() -> None:
    targets, places = _choose(targets=("pka", "solubility"))
    assert (targets.names, places) == (("pka", "solubility"), [2, 0])


def test_a_constant_label_is_not_divided_by_zero() -> None:
    labels = LABELS.copy()
    labels[:, 0] = 4.0
    assert _target("solubility", labels).std == 1.0


@pytest.mark.parametrize("scaling", ["standard", "log"])
def test_a_constant_is_one_although_its_computed_deviation_is_not_quite_zero(scaling: str) -> None:
    labels = np.full((7, 4), 0.1)
    assert 0 < labels[:, 0].std() < 1e-15
    assert _target("pka", labels, train=np.arange(7), scaling=scaling).std == 1.0


def test_classes_whose_duplicates_disagreed_are_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    labels = np.zeros((40, 4))
    labels[::2, 1] = 1.0
    labels[5:8, 1] = 0.5, 1 / 3, UNKNOWN
    assert _target("toxic", labels, train=np.arange(40)).kind == "regression"
    assert "label toxic: 2 of its values are no whole numbers" in caplog.text
    assert "prepare.duplicate_labels=drop-conflicting or first" in caplog.text
    assert "finetune.task={toxic: binary}" in caplog.text


@pytest.mark.parametrize("values", [[0, 1, 1, 0], [0, 0.2, 0.4, 1], [0, 1, 0.5, 2], [0, 0, 0, 0.5]])
def test_measurements_are_not_taken_for_classes(
    values: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    labels = np.zeros((4, 4))
    labels[:, 1] = values
    _target("toxic", labels, train=np.arange(4))
    assert caplog.text == ""


def test_an_unknown_target_is_named_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"no label column logP .*solubility, toxic, pka, site"):
        _choose(targets=("pka", "logP"))


def test_a_target_without_a_training_value_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"label pka: no training molecule has a value"):
        _choose(train=np.array([0]))


@pytest.mark.parametrize(
    ("stored", "wanted", "drawn"), [(10, None, True), (1, None, False), (10, False, False), (1, True, True)]
)
def test_the_drawing_counts_where_molecules_have_several_conformers_or_where_asked_for(
    stored: int, wanted: bool | None, drawn: bool
) -> None:
    targets, _ = _choose(stored=stored, drawing=wanted, features=False)
    assert targets.view == View(features=False, drawing=drawn, conformers=11)


def test_a_single_geometry_is_a_conformer_and_not_the_drawing() -> None:
    assert _choose(stored=10, conformers=1)[0].view == View(drawing=False, conformers=1)
