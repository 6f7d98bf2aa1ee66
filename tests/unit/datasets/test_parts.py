"""Which molecules train, validate and test, by the dataset's split or by fold."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.datasets.parts import parts_of
from unimol2_tasks.errors import UserError


def _dataset(folds: list[int]) -> MoleculeDataset:
    split = {"train": [0, 1], "valid": [2], "test": [3]}
    values: dict[str, Any] = {
        "folds": np.array(folds),
        "indices": lambda name: np.array(split[name]),
        "__len__": lambda: len(folds),
    }
    return cast(MoleculeDataset, SimpleNamespace(**values))


def test_every_fold_tests_once_and_validates_once() -> None:
    dataset = _dataset([0, 1, 2, 0, -1, 2])
    parts = [parts_of(dataset, fold) for fold in range(3)]
    assert [part.test.tolist() for part in parts] == [[0, 3], [1], [2, 5]]
    assert [part.valid.tolist() for part in parts] == [[1], [2, 5], [0, 3]]
    assert [part.train.tolist() for part in parts] == [[2, 5], [0, 3], [1]]


def test_without_a_fold_it_is_the_split_of_the_dataset() -> None:
    parts = parts_of(_dataset([0, 0, 1, 1]))
    assert [*map(list, (parts.train, parts.valid, parts.test))] == [[0, 1], [2], [3]]
    assert parts.among(np.array([True, False, True, True])).train.tolist() == [0]


def test_a_fold_that_is_not_there_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="fold 3: the dataset has the folds 0 to 2"):
        parts_of(_dataset([0, 1, 2]), 3)
    with pytest.raises(UserError, match=r"no folds for cross-validation; .*prepare\.folds"):
        parts_of(_dataset([-1, -1]), 0)
