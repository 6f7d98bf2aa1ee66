"""The figures of an evaluation as files that programs read."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from unimol2_tasks.artifacts.prediction_schemas import (
    CLASS_PREFIX,
    LOWER_PREFIX,
    SIMILARITY,
    STD_PREFIX,
    UPPER_PREFIX,
)
from unimol2_tasks.artifacts.schemas import LABEL_PREFIX, PREDICTION_PREFIX
from unimol2_tasks.artifacts.spreadsheets import guarded
from unimol2_tasks.evaluation.contents import TargetResult
from unimol2_tasks.stages.evaluation.scores import Scores


def write_figures(folder: Path, results: Sequence[TargetResult]) -> None:
    """Write what was measured; published numbers, which were not, are left to the page.

    - `metrics.json`: {target: {method: {metric: value}}}; for a predictor with `coverage_90`,
      `interval_width_90`, `spread` and `spread_spearman` where it has them.
    - `intervals.json`: {target: {method: {metric: [low, high]}}}, 95 % intervals of the same.
    - `members.json`: {target: {metric: {"mean", "std", "values"}}} over the networks of the predictor.
    - `groups.json`: {target: {grouping: {part: {"n", "metrics", "intervals"}}}}, the latter two by method.
    - `coverage.json`: {target: [{"level", "halfwidth", "covered", "n"}]} of the predictor.
    """
    measured = {result.name: [row for row in result.rows if row.role != "published"] for result in results}
    files: dict[str, dict[str, Any]] = {
        "metrics": {name: {row.method: dict(row.metrics) for row in rows} for name, rows in measured.items()},
        "intervals": {
            name: {row.method: dict(row.intervals or {}) for row in rows} for name, rows in measured.items()
        },
        "members": {
            result.name: {metric: asdict(scores) for metric, scores in result.members.items()}
            for result in results
        },
        "groups": {result.name: _groups(result) for result in results},
        "coverage": {
            result.name: [
                asdict(found) for found in result.coverage if found.n and np.isfinite(found.halfwidth)
            ]
            for result in results
        },
    }
    for name, content in files.items():
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def write_predictions(path: Path, scores: Scores, results: Sequence[TargetResult]) -> None:
    """Write a row for every judged molecule.

    `id`, `smiles`, for every target `label:NAME` and, as in tables of predictions, `prediction:NAME` (of
    several classes `prediction:NAME=k`, and `class:NAME`, the most probable one), `lower:NAME`, `upper:NAME`
    and `std:NAME` where there are any, and the nearest training molecule with its `similarity`. Text that a
    spreadsheet would calculate has an apostrophe in front.
    """
    columns: dict[str, Any] = {"id": scores.judged.ids, "smiles": scores.judged.smiles}
    for result, target in zip(results, scores.judged.targets.targets, strict=True):
        columns[LABEL_PREFIX + result.name] = np.asarray(result.y_true)
        predicted = np.asarray(result.y_pred)
        if result.kind == "multiclass":
            columns |= {PREDICTION_PREFIX + name: predicted[:, k] for k, name in enumerate(target.columns)}
            columns[CLASS_PREFIX + result.name] = predicted.argmax(axis=1)
        else:
            columns[PREDICTION_PREFIX + result.name] = predicted
        interval = scores.interval(target)
        if interval is not None and np.isfinite(interval).all():
            columns[LOWER_PREFIX + result.name], columns[UPPER_PREFIX + result.name] = interval
        if result.spread is not None:
            columns[STD_PREFIX + result.name] = np.asarray(result.spread)
    columns["nearest training molecule"] = scores.neighbours.ids
    columns[SIMILARITY] = scores.neighbours.similarity
    pl.DataFrame(columns, nan_to_null=True).with_columns(guarded(pl.col(pl.String))).write_csv(path)


def _groups(result: TargetResult) -> dict[str, Any]:
    return {
        table.name: {
            score.group: {"n": score.n, "metrics": score.metrics, "intervals": score.intervals}
            for score in table.scores
        }
        for table in result.groups
    }
