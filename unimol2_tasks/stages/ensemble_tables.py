"""The tables and metrics of an ensemble, from those of its members."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unimol2_tasks.chemistry.applicability import TRAINING
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.training.job import read_json, write_json
from unimol2_tasks.training.network import read_targets
from unimol2_tasks.training.predictor_files import (
    OUT_OF_FOLD,
    VALIDATION,
    read_predictions,
    write_predictions,
)
from unimol2_tasks.training.targets import Targets
from unimol2_tasks.training.validation import label_metrics

_Array = NDArray[np.float64]
_Table = tuple[list[str], _Array, _Array]
"""Ids `[n]`, labels `[n, T]` and predictions `[n, C]`."""


def write_tables(folder: Path, members: Mapping[str, Path], several_folds: bool) -> None:
    """Write `training.parquet`, `validation.parquet` and `metrics.json` of an ensemble.

    Args:
        folder: The ensemble's, with its `targets.json`.
        members: Their predictors' folders by name.
        several_folds: Whether they were tested on different folds. Then the predictions are those of each
            fold by the members that saw nothing of it; else those of the validation molecules, which all
            members share, by the mean of all.
    """
    targets = read_targets(folder)
    _write_training(folder / TRAINING, list(members.values()))
    if several_folds:
        table = _joined(list(_by_fold(members, targets)))
    else:
        table = _mean([path / VALIDATION for path in members.values()], targets)
    write_predictions(folder / VALIDATION, *table, targets)
    name = "out-of-fold" if several_folds else "ensemble"
    own = label_metrics(table[2], table[1], targets, name)
    write_json(folder / "metrics.json", _over_members(list(members.values())) | own)


def _write_training(path: Path, members: Sequence[Path]) -> None:
    """Every molecule that any member was trained on, once."""
    frames = [pl.read_parquet(member / TRAINING) for member in members]
    pl.concat(frames).unique(maintain_order=True).write_parquet(path)


def _by_fold(members: Mapping[str, Path], targets: Targets) -> Iterator[_Table]:
    """The predictions of each fold, by the mean of the members that kept it for testing."""
    folds: dict[str, list[Path]] = {}
    for name, path in members.items():
        folds.setdefault(name.partition("-seed-")[0], []).append(path / OUT_OF_FOLD)
    for paths in folds.values():
        yield _mean(paths, targets)


def _mean(paths: Sequence[Path], targets: Targets) -> _Table:
    """The mean of predictions of the same molecules."""
    tables = [read_predictions(path, targets) for path in paths]
    ids, labels, _ = tables[0]
    for path, table in zip(paths, tables, strict=True):
        if table[0] != ids:
            raise ArtifactError(f"{path}: holds other molecules than {paths[0]}")
    return ids, labels, np.mean([predictions for _, _, predictions in tables], axis=0)


def _joined(tables: Sequence[_Table]) -> _Table:
    ids = [name for table in tables for name in table[0]]
    return ids, np.concatenate([table[1] for table in tables]), np.concatenate([table[2] for table in tables])


def _over_members(members: Sequence[Path]) -> dict[str, float]:
    """Mean and, of several, sample standard deviation over the members of each metric that all have."""
    measured = [read_json(member / "metrics.json") or {} for member in members]
    metrics: dict[str, float] = {}
    for name in sorted(set.intersection(*map(set, measured))):
        values = [metric[name] for metric in measured]
        metrics[name] = float(np.mean(values))
        if len(values) > 1:
            metrics[f"{name}/std"] = float(np.std(values, ddof=1))
    return metrics
