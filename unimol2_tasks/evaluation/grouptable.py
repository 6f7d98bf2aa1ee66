"""Group scores as text: who is good at which molecules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unimol2_tasks.evaluation.contents import TargetResult
from unimol2_tasks.evaluation.groups import GroupScore, GroupTable
from unimol2_tasks.evaluation.metrics import HEADLINE
from unimol2_tasks.evaluation.pages import data_uri
from unimol2_tasks.evaluation.scoretable import LABELS, Cell, print_score


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One part of the molecules, ready to print."""

    name: str
    drawing: str
    """Source of an image of it; empty where there is none."""
    n: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class GroupSection:
    """One way to part the molecules, ready to print."""

    title: str
    metric: str
    unit: str
    methods: tuple[str, ...]
    rows: tuple[GroupRow, ...]


def group_section(table: GroupTable, target: TargetResult) -> GroupSection:
    """Lay out the scores of every part by the metric that leads the kind of target."""
    metric = HEADLINE[target.kind]
    methods = tuple(dict.fromkeys(method for score in table.scores for method in score.metrics))
    rows = tuple(
        GroupRow(
            score.group,
            data_uri(score.drawing_svg),
            f"{score.n:,}",
            tuple(_cell(score, method, metric) for method in methods),
        )
        for score in table.scores
    )
    unit = target.unit if target.kind == "regression" else ""
    return GroupSection(table.title, LABELS[metric], unit, methods, rows)


def _cell(score: GroupScore, method: str, metric: str) -> Cell:
    value = score.metrics.get(method, {}).get(metric, float("nan"))
    low, high = score.intervals.get(method, {}).get(metric, (float("nan"), float("nan")))
    interval = (
        f"{print_score(metric, low)} to {print_score(metric, high)}" if np.isfinite([low, high]).all() else ""
    )
    return Cell(print_score(metric, value), interval, best=False)
