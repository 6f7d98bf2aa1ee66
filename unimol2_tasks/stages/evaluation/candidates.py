"""The predictors that are to be judged, and which molecules of a dataset they have not seen."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.chemistry.split_names import Split
from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.datasets.shards import SPLITS_FILE
from unimol2_tasks.errors import UserError
from unimol2_tasks.training.network import MEMBERS, read_targets
from unimol2_tasks.training.targets import Targets

_FOLD = re.compile(r"fold-(\d+)(-|$)")


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A predictor and what it knows of a dataset.

    Attributes:
        artifact: The predictor.
        targets: What it predicts.
        members: Names of its networks in the order of their answers; `("",)` of a single one.
        folds: The fold that each network tests, where it was trained on other folds of this dataset; empty
            where the dataset's own splits say what it has seen.
        is_own: Whether it was trained on this very dataset.
    """

    artifact: LocalArtifact
    targets: Targets
    members: tuple[str, ...]
    folds: Mapping[str, int]
    is_own: bool

    @classmethod
    def of(cls, predictor: LocalArtifact, dataset: LocalArtifact) -> "Candidate":
        """Read it from a predictor's folder and manifest.

        Raises:
            UserError: It was cross-validated on this dataset, and a name in it stands for several molecules,
                so that nothing says which of them a fold had.
        """
        members = tuple(sorted(path.name for path in (predictor.path / MEMBERS).glob("*"))) or ("",)
        is_own = predictor.manifest.parents.get("dataset") == dataset.manifest.digest
        folds = _tested_folds(predictor, members) if is_own else {}
        candidate = cls(predictor, read_targets(predictor.path), members, folds, is_own)
        if candidate.is_cross_validated:
            _refuse_repeated_names(dataset)
        return candidate

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.artifact.path

    @property
    def is_cross_validated(self) -> bool:
        """Whether its networks test different folds."""
        return len(set(self.folds.values())) > 1

    def judged(self, dataset: MoleculeDataset, split: Split) -> NDArray[np.int64]:
        """Positions of the molecules it is judged on: of the split, or of the folds that it tests."""
        if self.folds:
            return np.flatnonzero(np.isin(dataset.folds, list(set(self.folds.values()))))
        return dataset.indices(split)


def _refuse_repeated_names(dataset: LocalArtifact) -> None:
    ids = pl.read_parquet(dataset.path / SPLITS_FILE, columns=["id"])["id"]
    repeated = ids.filter(ids.is_duplicated())
    if len(repeated):
        raise UserError(
            f"{dataset.uri}: id {repeated[0]!r} names {(ids == repeated[0]).sum()} molecules, so that their "
            "folds cannot be told apart; prepare the dataset with a column of unique names "
            "(unimol2 prepare --id-column) and fine-tune on it again"
        )


def _tested_folds(predictor: LocalArtifact, members: tuple[str, ...]) -> dict[str, int]:
    """The fold that each network kept for testing; empty where the dataset's splits were used."""
    single = predictor.manifest.params.get("finetune", {}).get("fold")
    found = {name: _FOLD.match(name) for name in members}
    folds = {name: int(match[1]) if match else single for name, match in found.items()}
    return {name: fold for name, fold in folds.items() if fold is not None}
