"""What a predictor says of the molecules of a dataset that it has not seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params
from unimol2_tasks.stages.evaluation.candidates import Candidate
from unimol2_tasks.stages.prediction.network import infer
from unimol2_tasks.training.job import Job

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """A predictor's answers about all n molecules of a dataset.

    Attributes:
        candidate: The predictor.
        members: `[n, C]` of each of its networks by name, in label units and probabilities; NaN where that
            network must not be asked, because the molecule is not of the fold that it tests.
    """

    candidate: Candidate
    members: Mapping[str, Array]

    @cached_property
    def values(self) -> Array:
        """`[n, C]` the mean over its networks; NaN where none may be asked."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.nansum(self._stacked, axis=0) / self._answers)

    @cached_property
    def spread(self) -> Array | None:
        """`[n, C]` the sample standard deviation (over n - 1) over its networks.

        NaN for a molecule that only one may be asked about; None where that is every molecule.
        """
        if self._answers.max() < 2:
            return None
        with np.errstate(invalid="ignore"):
            degrees = np.where(self._answers > 1, self._answers - 1, np.nan)
            variance = np.nansum((self._stacked - self.values) ** 2, axis=0) / degrees
            return np.asarray(np.sqrt(variance))

    @cached_property
    def _stacked(self) -> Array:
        return np.stack(list(self.members.values()))

    @cached_property
    def _answers(self) -> NDArray[np.int64]:
        """`[n, C]` how many networks may be asked."""
        return np.asarray((~np.isnan(self._stacked)).sum(axis=0))


def ask(
    candidate: Candidate, dataset: MoleculeDataset, artifact: LocalArtifact, params: Params, work: Path
) -> Asked:
    """Have a predictor predict every molecule of a dataset.

    Args:
        candidate: The predictor.
        dataset: The molecules.
        artifact: The dataset as an artifact.
        params: `predict` counts.
        work: A folder that may be filled.

    Raises:
        UserError: It answers something that is no number.
        TrainingFailed: Inference ended without a result.
    """
    job = Job(
        kind="predict", dataset=artifact.path.absolute(), model=candidate.path.absolute(), params=params
    )
    answers = infer(job, params, work)
    _refuse_no_numbers(answers, candidate, dataset)
    return Asked(
        candidate,
        {
            name: _out_of_fold(answers[:, place], dataset.folds, candidate.folds.get(name))
            for place, name in enumerate(candidate.members)
        },
    )


def _refuse_no_numbers(answers: Array, candidate: Candidate, dataset: MoleculeDataset) -> None:
    """Such an answer would pass for one of a network that must not be asked."""
    strange = ~np.isfinite(answers).all(axis=(1, 2))
    if not strange.any():
        return
    first = int(strange.argmax())
    members = np.flatnonzero(~np.isfinite(answers[first]).all(axis=1))
    named = ", ".join(candidate.members[place] for place in members)
    raise UserError(
        f"predictor {candidate.artifact.uri}: its answers for {int(strange.sum()):,} of {len(answers):,} "
        f"molecules are no finite numbers; the first is molecule {dataset.id(first)}, {dataset.smiles(first)}"
        f"{f', of {named}' if named else ''}; fine-tune again, at a lower finetune.learning_rate or with "
        "finetune.precision=fp32, or leave such molecules out of the dataset"
    )


def _out_of_fold(values: Array, folds: NDArray[np.integer], tested: int | None) -> Array:
    if tested is None:
        return values
    return np.where((folds == tested)[:, None], values, np.nan)
