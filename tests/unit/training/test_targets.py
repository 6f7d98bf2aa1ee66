from typing import Any

import numpy as np
import pytest

from unimol2_tasks.errors import UserError
from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.training.targets import Targets, choose_targets

NAMES = ("solubility", "toxic", "pka")
UNKNOWN = np.nan
LABELS = np.array(
    [
        [1.0, 0.0, UNKNOWN],
        [3.0, 1.0, 7.0],
        [5.0, UNKNOWN, 9.0],
        [1e6, 1.0, -1e6],
    ]
)
TRAIN = np.array([0, 1, 2])


def _choose(labels: Any = LABELS, train: Any = TRAIN, **params: Any) -> tuple[Targets, list[int]]:
    targets, places = choose_targets(labels, NAMES, train, FinetuneParams(**params), PrepareParams())
    return targets, places.tolist()


def test_scales_come_from_the_training_molecules_that_have_the_label() -> None:
    targets, places = _choose()
    assert places == [0, 1, 2]
    assert targets.mean.tolist() == [3.0, 0.0, 8.0]
    assert targets.std == pytest.approx([np.sqrt(8 / 3), 1.0, 1.0])


def test_a_label_of_zeros_and_ones_is_a_class() -> None:
    assert _choose()[0].binary.tolist() == [False, True, False]


def test_a_class_with_a_third_value_outside_the_training_split_is_none() -> None:
    labels = LABELS.copy()
    labels[3, 1] = 2.0
    assert _choose(labels)[0].binary.tolist() == [False, False, False]


def test_zeros_and_ones_can_be_learned_as_numbers() -> None:
    targets, _ = _choose(task="regression", targets=("toxic",))
    assert targets.targets[0].kind == "regression"
    assert targets.targets[0].mean == 0.5


def test_chosen_targets_keep_the_order_they_were_asked_for() -> None:
    targets, places = _choose(targets=("pka", "solubility"))
    assert targets.names == ("pka", "solubility")
    assert places == [2, 0]
    assert targets.mean.tolist() == [8.0, 3.0]


def test_a_constant_label_is_not_divided_by_zero() -> None:
    labels = LABELS.copy()
    labels[:, 0] = 4.0
    assert _choose(labels)[0].std[0] == 1.0


def test_an_unknown_target_is_named_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"finetune\.targets: no label column logP .*solubility, toxic, pka"):
        _choose(targets=("pka", "logP"))


def test_a_target_without_a_training_value_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"label pka: no training molecule has a value"):
        _choose(train=np.array([0]))


def test_a_number_is_refused_as_a_class_with_the_value_that_is_none() -> None:
    with pytest.raises(UserError, match=r"label solubility: .*is binary, but a value is 3"):
        _choose(task="binary")


def test_outputs_return_to_label_units_and_probabilities() -> None:
    targets, _ = _choose()
    scaled = (LABELS - targets.mean) / targets.std
    natural = targets.to_natural(scaled)
    np.testing.assert_allclose(natural[:, [0, 2]], LABELS[:, [0, 2]])
    np.testing.assert_allclose(
        targets.to_natural(np.array([[0.0, 0.0, 0.0], [0.0, np.log(3), 0.0]]))[:, 1], [0.5, 0.75]
    )


def test_a_certain_class_is_a_probability_and_not_an_overflow() -> None:
    with np.errstate(all="raise"):
        probabilities = _choose()[0].to_natural(np.array([[0.0, -1e4, 0.0], [0.0, 1e4, 0.0]]))[:, 1]
    assert probabilities == pytest.approx([0.0, 1.0])


def test_targets_survive_their_file() -> None:
    targets, _ = _choose()
    assert Targets.model_validate_json(targets.model_dump_json()) == targets
