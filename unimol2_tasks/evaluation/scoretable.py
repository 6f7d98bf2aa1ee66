"""Score tables and headlines as text: what is best, and by how much it beats the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from unimol2_tasks.evaluation.contents import ScoreRow, TargetResult
from unimol2_tasks.evaluation.metrics import HEADLINE

LABELS = {
    "mae": "MAE",
    "rmse": "RMSE",
    "rmae": "RMAE",
    "r2": "R²",
    "pearson": "Pearson r",
    "spearman": "Spearman r",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "macro_f1": "Macro F1",
    "mcc": "MCC",
    "log_loss": "Log loss",
    "calibration_error": "Calibration error",
    "coverage_90": "90 % interval holds",
    "interval_width_90": "Its width",
    "spread": "Spread",
    "spread_spearman": "Spread to error, rank r",
}
"""Metrics as a reader sees them, in the order of the columns."""
_LOWER_IS_BETTER = frozenset({"mae", "rmse", "rmae", "log_loss", "calibration_error", "interval_width_90"})
_IN_UNITS = frozenset({"mae", "rmse", "interval_width_90", "spread"})
_OF_UNCERTAINTY = frozenset({"coverage_90", "interval_width_90", "spread", "spread_spearman"})
_WITHOUT_A_BEST = frozenset({"coverage_90", "spread", "interval_width_90"})
"""A coverage is right where it is the wanted one, and a width is good only with it."""
_MINUS = "\N{MINUS SIGN}"
"""As wide as the digits, unlike the hyphen."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one method, ready to print."""

    value: str
    interval: str
    best: bool


@dataclass(frozen=True, slots=True)
class Column:
    """The head of one metric's column."""

    label: str
    unit: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """One method's line."""

    method: str
    tag: str
    """What it is there for, where it is not the model itself."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """All methods on one target."""

    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    has_intervals: bool


@dataclass(frozen=True, slots=True)
class Headline:
    """The one number of a target and how it stands against the best baseline."""

    target: str
    metric: str
    value: str
    unit: str
    comparison: str
    verdict: Literal["better", "worse", "unclear"]


def score_table(target: TargetResult) -> ScoreTable:
    """Lay out a target's scores, the best of each column marked; ties are all marked.

    Published numbers are of other molecules, so they are never the best.
    """
    return _table(target, [name for name in _metric_names(target.rows) if name not in _OF_UNCERTAINTY])


def uncertainty_table(target: TargetResult) -> ScoreTable:
    """Lay out what the models say about their own errors; baselines say nothing, and are left out."""
    rows = [row for row in target.rows if row.role == "model" and _OF_UNCERTAINTY & row.metrics.keys()]
    said = replace(target, rows=rows)
    return _table(said, [name for name in _metric_names(rows) if name in _OF_UNCERTAINTY])


def headline(target: TargetResult) -> Headline | None:
    """Compare the first model with the best baseline by MAE or ROC AUC; None where it has neither."""
    name = HEADLINE[target.kind]
    model = next((row for row in target.rows if row.role == "model"), None)
    if model is None or not np.isfinite(_value(model, name)):
        return None
    baseline = _best_row(name, [row for row in target.rows if row.role == "baseline"])
    unit, value = _unit(name, target), print_score(name, model.metrics[name])
    if baseline is None:
        return Headline(target.name, LABELS[name], value, unit, "no baseline to compare with", "unclear")
    comparison, verdict = _compare(name, model, baseline)
    return Headline(target.name, LABELS[name], value, unit, comparison, verdict)


def number(value: float) -> str:
    """Print a value with three significant digits, in full where that is readable."""
    if not np.isfinite(value):
        return "\N{EN DASH}"
    if value == 0 or 1e-4 <= abs(value) < 1000:
        text = f"{value:#.3g}".rstrip(".")
    else:
        text = f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.2e}"
    return text.replace("-", _MINUS)


def interval_size(halfwidth: float, unit: str, logarithmic: bool) -> str:
    """Print what lies on both sides of a prediction: a distance, or of logarithms a factor."""
    if logarithmic:
        return f"the prediction divided and multiplied by {number(float(np.exp(halfwidth)))}"
    return f"± {number(halfwidth)}{f' {unit}' if unit else ''}"


def _table(target: TargetResult, names: Sequence[str]) -> ScoreTable:
    measured = [row for row in target.rows if row.role != "published"]
    best = {name: _best(name, measured) for name in names}
    rows = tuple(
        TableRow(row.method, _tag(row), tuple(_cell(row, name, best[name]) for name in names))
        for row in target.rows
    )
    columns = tuple(Column(LABELS.get(name, name), _unit(name, target)) for name in names)
    return ScoreTable(columns, rows, any(cell.interval for row in rows for cell in row.cells))


def _metric_names(rows: Sequence[ScoreRow]) -> list[str]:
    present = {name: None for row in rows for name in row.metrics if name != "n"}
    return [name for name in LABELS if name in present] + [name for name in present if name not in LABELS]


def _tag(row: ScoreRow) -> str:
    return ", ".join(filter(None, ("" if row.role == "model" else row.role, row.note)))


def _unit(name: str, target: TargetResult) -> str:
    return target.unit if name in _IN_UNITS else ""


def print_score(name: str, value: float) -> str:
    """Print a score: three decimals for what runs from 0 to 1, three digits for what has a unit."""
    if name == "coverage_90":
        return f"{100 * value:.1f} %" if np.isfinite(value) else number(value)
    if name in LABELS and name not in _IN_UNITS and np.isfinite(value):
        return f"{value:z.3f}".replace("-", _MINUS)
    return number(value)


def _value(row: ScoreRow, name: str) -> float:
    return row.metrics.get(name, float("nan"))


def _best(name: str, rows: Sequence[ScoreRow]) -> float:
    values = [value for row in rows if np.isfinite(value := _value(row, name))]
    if name not in LABELS or name in _WITHOUT_A_BEST or len(values) < 2:
        return float("nan")
    return min(values) if name in _LOWER_IS_BETTER else max(values)


def _best_row(name: str, rows: Sequence[ScoreRow]) -> ScoreRow | None:
    known = [row for row in rows if np.isfinite(_value(row, name))]
    sign = 1 if name in _LOWER_IS_BETTER else -1
    return min(known, key=lambda row: sign * _value(row, name), default=None)


def _cell(row: ScoreRow, name: str, best: float) -> Cell:
    value = _value(row, name)
    low, high = (row.intervals or {}).get(name, (float("nan"), float("nan")))
    interval = (
        f"{print_score(name, low)} to {print_score(name, high)}" if np.isfinite([low, high]).all() else ""
    )
    return Cell(print_score(name, value), interval, best=row.role != "published" and value == best)


def _compare(
    name: str, model: ScoreRow, baseline: ScoreRow
) -> tuple[str, Literal["better", "worse", "unclear"]]:
    ours, theirs = model.metrics[name], baseline.metrics[name]
    low, high = (model.intervals or {}).get(name, (ours, ours))
    if low <= theirs <= high:
        return f"not clearly different from {baseline.method} ({print_score(name, theirs)})", "unclear"
    better = (ours < theirs) == (name in _LOWER_IS_BETTER)
    if name in _IN_UNITS and theirs > 0:
        change = f"{100 * abs(ours - theirs) / theirs:.0f} %"
    else:
        change = print_score(name, abs(ours - theirs))
    direction = "lower" if ours < theirs else "higher"
    comparison = f"{change} {direction} than {baseline.method} ({print_score(name, theirs)})"
    return comparison, "better" if better else "worse"
