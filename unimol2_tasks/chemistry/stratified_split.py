"""Splits in which a label is distributed alike in every part."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unimol2_tasks.artifacts.schemas import LABEL_PREFIX
from unimol2_tasks.chemistry.balanced_split import TEST, TRAIN, VALID, Parts, wanted_sizes
from unimol2_tasks.errors import ParameterError

QUANTILES = 10
"""Strata of equally many molecules, by the label."""


def strata_order(molecules: pl.DataFrame, label: str | None, rng: np.random.Generator) -> NDArray[np.intp]:
    """The molecules that have a label, by its value; equal values in random order.

    Args:
        molecules: Columns `inchikey` and one per label.
        label: Its name; none: the only one.
        rng: Shuffles equal values. The order of the rows does not matter.

    Returns:
        Places of molecules; at most as many as there are. Those without the label are left out.

    Raises:
        ParameterError: There is no such label, it is not clear which one is meant, or nobody has it.
    """
    column = _label_column(molecules, label)
    values = molecules[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
    by_key = np.argsort(molecules["inchikey"].rank("ordinal").to_numpy())
    shuffled = by_key[rng.permutation(len(by_key))]
    known = shuffled[~np.isnan(values[shuffled])]
    if not len(known):
        raise ParameterError(
            f"prepare.split=stratified: no molecule has a value of {column.removeprefix(LABEL_PREFIX)}"
        )
    order: NDArray[np.intp] = known[np.argsort(values[known], kind="stable")]
    return order


def _label_column(molecules: pl.DataFrame, label: str | None) -> str:
    names = [name.removeprefix(LABEL_PREFIX) for name in molecules.columns if name.startswith(LABEL_PREFIX)]
    known = ", ".join(names) or "none"
    if label is None and len(names) != 1:
        raise ParameterError(
            f"prepare.split=stratified needs prepare.split_label, the label to stratify by; labels: {known}"
        )
    if label is not None and label not in names:
        raise ParameterError(f"prepare.split_label={label}: no such label; labels: {known}")
    return LABEL_PREFIX + (label or names[0])


def stratified_split(
    order: NDArray[np.intp], count: int, valid_fraction: float, test_fraction: float, rng: np.random.Generator
) -> Parts:
    """Hold out the same share of every quantile of the label.

    Args:
        order: From `strata_order`. Fractions are of these molecules; the others train.
        count: Number of molecules.
        valid_fraction: Wanted share for validation.
        test_fraction: Wanted share for the test.
        rng: Chooses inside a stratum.
    """
    parts = np.full(count, TRAIN, np.uint8)
    _, valid, test = wanted_sizes(len(order), valid_fraction, test_fraction)
    strata = np.array_split(order, min(QUANTILES, len(order)))
    mixed = np.concatenate([rng.permutation(stratum) for stratum in strata])
    for part, wanted in ((TEST, test), (VALID, valid)):
        free = mixed[parts[mixed] == TRAIN]
        size = max(1, len(free))
        # Evenly spaced: every stratum gives its share, and the roundings of the shares do not add up. From a
        # random start: else it would be the highest of every interval.
        reached = (np.arange(1, len(free) + 1) * wanted + rng.integers(size)) // size
        parts[free[np.diff(reached, prepend=0) > 0]] = part
    return parts


def stratified_folds(
    order: NDArray[np.intp], count: int, folds: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Of every `folds` neighbours in the label's order put one into each fold.

    Molecules without the label fill the folds that train.

    Raises:
        ParameterError: Fewer molecules than folds have the label.
    """
    if len(order) < folds:
        raise ParameterError(
            f"prepare.folds={folds}, but only {len(order)} molecules have the label to stratify by"
        )
    chosen = np.full(count, 0, np.uint8)
    blocks = np.tile(np.arange(folds, dtype=np.uint8), (-(-len(order) // folds), 1))
    chosen[order] = rng.permuted(blocks, axis=1).ravel()[: len(order)]
    unlabelled = np.setdiff1d(np.arange(count), order)
    chosen[unlabelled] = 2 + np.arange(len(unlabelled)) % (folds - 2)
    return chosen
