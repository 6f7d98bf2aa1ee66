"""Baselines fitted on what the judged predictors may have learnt from."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.chemistry.descriptors import descriptor_table
from unimol2_tasks.chemistry.fingerprints import morgan_fingerprints
from unimol2_tasks.evaluation.baselines import (
    BaselineTask,
    descriptor_baselines,
    fingerprint_baselines,
    mean_baseline,
)
from unimol2_tasks.stages.evaluation.asked import Array
from unimol2_tasks.stages.evaluation.judged import Judged
from unimol2_tasks.training.targets import Target

MEAN = "mean of the training set"
BASELINES = (
    MEAN,
    "fingerprint + ridge",
    "fingerprint + logistic regression",
    "fingerprint + random forest",
    "descriptors + gradient boosting",
)
"""What baselines are called."""
_Fit = Callable[..., dict[str, Array]]


@dataclass(frozen=True)
class Baselines:
    """What classic learners say of the judged molecules."""

    judged: Judged
    wanted: Collection[str]
    """`fingerprint`, `descriptors`."""
    seed: int

    def of(self, target: Target) -> dict[str, Array]:
        """`[m]`, or `[m, K]` of several classes, by method.

        They learn from train and valid together: unlike the network they need no validation.
        """
        task = BaselineTask(target.kind, target.classes, self.seed, n_jobs=-1)
        labels = self.judged.labels[:, self.judged.targets.names.index(target.name)]
        methods: dict[str, Array] = {}
        for judged, known in self.judged.parts:
            for name, values in self._of_part(task, labels, judged, known):
                whole = methods.setdefault(
                    name, np.full((len(self.judged.indices), *values.shape[1:]), np.nan)
                )
                whole[self.judged.places(judged)] = values
        # A method that a fold has too few labels for cannot be compared.
        return {name: values for name, values in methods.items() if not np.isnan(values).any()}

    def _of_part(
        self, task: BaselineTask, labels: Array, judged: NDArray[np.int64], known: NDArray[np.int64]
    ) -> Iterator[tuple[str, Array]]:
        if np.isnan(labels[known]).all():
            return
        yield MEAN, mean_baseline(labels[known], len(judged), task)
        for fit, features in self._learners:
            yield from fit(features[known], labels[known], features[judged], task).items()

    @cached_property
    def _learners(self) -> list[tuple[_Fit, NDArray[np.generic]]]:
        """What learns, and its input of all molecules, [n, ...]."""
        dataset = self.judged.dataset
        smiles = [dataset.smiles(index) for index in range(len(dataset))]
        learners: list[tuple[_Fit, NDArray[np.generic]]] = []
        if "fingerprint" in self.wanted:
            learners.append((fingerprint_baselines, morgan_fingerprints(smiles)))
        if "descriptors" in self.wanted:
            learners.append((descriptor_baselines, descriptor_table(smiles)))
        return learners
