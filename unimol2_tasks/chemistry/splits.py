"""Which molecules train, validate and test."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unimol2_tasks.chemistry.balanced_split import (
    Parts,
    balanced_folds,
    balanced_split,
    parts_of_folds,
    wanted_sizes,
)
from unimol2_tasks.chemistry.given_splits import read_split_file, splits_of_column, splits_of_ids
from unimol2_tasks.chemistry.split_groups import split_groups
from unimol2_tasks.chemistry.split_names import SPLITS, Split
from unimol2_tasks.chemistry.stratified_split import strata_order, stratified_folds, stratified_split
from unimol2_tasks.params import PrepareParams

__all__ = ["SPLITS", "Assignment", "Split", "assign_splits", "read_split_file"]

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Where each molecule of a dataset belongs."""

    splits: list[Split]
    folds: NDArray[np.uint8] | None = None
    """[molecules] from 0, where cross-validation is wanted: fold 0 tests, fold 1 validates."""


def assign_splits(
    molecules: pl.DataFrame, params: PrepareParams, given: Mapping[str, str] | None = None
) -> Assignment:
    """Put every molecule into one split.

    Splits that are made here depend on the molecules and the seed, not on the order of the rows.

    Args:
        molecules: A row per molecule: `id`, `smiles` (canonical), `inchikey`, `scaffold` (empty: acyclic),
            `split` (as the table gave it), and `label:NAME` per label.
        params: `split` and what belongs to it. `stratified` takes equal shares of every tenth of a label;
            molecules without the label train, and fractions are of the others. `column` and `file` take what
            is given. The others keep groups together, see `split_groups.split_groups`. With `folds` there are
            that many parts of even sizes.
        given: Split of every id, for split=file; see `read_split_file`.

    Raises:
        ParameterError: The parameters do not fit these molecules: labels, folds, or too many to cluster.
        TableError: A given split is missing or unknown; names the id.
    """
    kind = params.split
    if kind == "column":
        return Assignment(splits_of_column(molecules, str(params.split_column)))
    if kind == "file":
        return Assignment(splits_of_ids(molecules, given or {}, str(params.split_file)))
    rng = np.random.default_rng(params.seed)
    if kind == "stratified":
        return _stratified(molecules, params, rng)
    return _grouped(split_groups(molecules, kind, params.split_similarity), params, rng)


def _stratified(molecules: pl.DataFrame, params: PrepareParams, rng: np.random.Generator) -> Assignment:
    order = strata_order(molecules, params.split_label, rng)
    if params.folds is not None:
        return _of_folds(stratified_folds(order, molecules.height, params.folds, rng))
    parts = stratified_split(order, molecules.height, params.valid_fraction, params.test_fraction, rng)
    return Assignment(_named(parts))


def _grouped(groups: NDArray[np.intp], params: PrepareParams, rng: np.random.Generator) -> Assignment:
    if params.folds is not None:
        return _of_folds(balanced_folds(groups, params.folds, rng))
    parts = balanced_split(groups, params.valid_fraction, params.test_fraction, rng)
    _warn_of_missed_sizes(parts, params)
    return Assignment(_named(parts))


def _of_folds(folds: NDArray[np.uint8]) -> Assignment:
    return Assignment(_named(parts_of_folds(folds)), folds)


def _named(parts: Parts) -> list[Split]:
    return [SPLITS[part] for part in parts.tolist()]


def _warn_of_missed_sizes(parts: Parts, params: PrepareParams) -> None:
    """Few large groups cannot be divided as wished; a person should know before training on it."""
    wanted = wanted_sizes(len(parts), params.valid_fraction, params.test_fraction)
    found = np.bincount(parts, minlength=len(SPLITS)).tolist()
    missed = [
        f"{split} {count} instead of {wish}"
        for split, count, wish in zip(SPLITS, found, wanted, strict=True)
        if abs(count - wish) > max(1, wish // 2)
    ]
    if missed:
        clustered = params.split in ("scaffold-similarity", "butina")
        _LOGGER.warning(
            "prepare.split=%s: some groups of molecules are too large to divide as wished: %s; %s",
            params.split,
            ", ".join(missed),
            "a higher prepare.split_similarity makes smaller ones"
            if clustered
            else "prepare.split=random has none",
        )
