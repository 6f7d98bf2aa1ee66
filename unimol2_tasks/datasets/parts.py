"""Which molecules train, validate and are kept for testing: by the dataset's split, or by a fold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.errors import UserError


@dataclass(frozen=True, slots=True)
class Parts:
    """Positions of molecules in their dataset, in its order."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]

    def among(self, wanted: NDArray[np.bool_]) -> "Parts":
        """Those of the molecules for which `wanted` `[n]` is true."""
        return Parts(*(part[wanted[part]] for part in (self.train, self.valid, self.test)))


def parts_of(dataset: MoleculeDataset, fold: int | None = None) -> Parts:
    """The dataset's own split, or that of a fold.

    Args:
        dataset: Where the molecules are.
        fold: The one that tests; the next one, after the last the first, validates, and the others train.

    Raises:
        UserError: The dataset has no such fold.
    """
    if fold is None:
        return Parts(*(dataset.indices(split) for split in ("train", "valid", "test")))
    count = fold_count(dataset)
    if fold >= count:
        raise UserError(f"finetune.fold {fold}: the dataset has the folds 0 to {count - 1}")
    validating = (fold + 1) % count
    folds = dataset.folds
    training = (folds >= 0) & (folds != fold) & (folds != validating)
    return Parts(np.flatnonzero(training), np.flatnonzero(folds == validating), np.flatnonzero(folds == fold))


def fold_count(dataset: MoleculeDataset) -> int:
    """The number of cross-validation folds.

    Raises:
        UserError: The dataset was made without folds.
    """
    count = int(dataset.folds.max()) + 1
    if count == 0:
        raise UserError("the dataset has no folds for cross-validation; prepare it with prepare.folds")
    return count
