"""Render a report as one HTML page that needs nothing else: no script, no network, no second file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unimol2_tasks.evaluation.charts import Chart
from unimol2_tasks.evaluation.contents import (
    Curve,
    LineageStep,
    Report,
    ScoreRow,
    TargetResult,
    WorstPrediction,
)
from unimol2_tasks.evaluation.curve_plots import curve_chart
from unimol2_tasks.evaluation.grouptable import GroupSection, group_section
from unimol2_tasks.evaluation.metrics import HEADLINE
from unimol2_tasks.evaluation.pages import page_environment
from unimol2_tasks.evaluation.plots import target_charts
from unimol2_tasks.evaluation.scoretable import (
    LABELS,
    ScoreTable,
    headline,
    print_score,
    score_table,
    uncertainty_table,
)
from unimol2_tasks.evaluation.worstcards import WorstCard, worst_card

__all__ = [
    "Curve",
    "LineageStep",
    "Report",
    "ScoreRow",
    "TargetResult",
    "WorstPrediction",
    "render_report",
]


@dataclass(frozen=True, slots=True)
class _TargetSection:
    name: str
    labelled: int
    missing: int
    table: ScoreTable
    members: str
    uncertainty: ScoreTable
    charts: list[Chart]
    groups: list[GroupSection]


def render_report(report: Report) -> str:
    """Render a report; the same report always gives the same bytes.

    Args:
        report: What the page shows. Every text in it is escaped, so names and SMILES may come from
            strangers' files; drawings are embedded as images, in which nothing can run.

    Returns:
        The HTML document, to be written as UTF-8.

    Raises:
        ValueError: If a target's labels and predictions, or a curve's x and y, do not fit together.
    """
    return (
        page_environment()
        .get_template("report.html.jinja")
        .render(
            report=report,
            headlines=[line for target in report.targets if (line := headline(target))],
            targets=[_target_section(target) for target in report.targets],
            curves=[curve_chart(curve) for curve in report.curves],
            worst=_worst_sections(report),
            parameters=_parameter_sections(report.parameters),
        )
    )


def _target_section(target: TargetResult) -> _TargetSection:
    labels = np.asarray(target.y_true, dtype=np.float64)
    missing = int(np.isnan(labels).sum())
    return _TargetSection(
        target.name,
        len(labels) - missing,
        missing,
        score_table(target),
        _members(target),
        uncertainty_table(target),
        target_charts(target),
        [group_section(table, target) for table in target.groups if table.scores],
    )


def _worst_sections(report: Report) -> dict[str, list[WorstCard]]:
    """The worst predictions by target."""
    by_name = {target.name: target for target in report.targets}
    sections: dict[str, list[WorstCard]] = {}
    for worst in report.worst:
        sections.setdefault(worst.target, []).append(worst_card(worst, by_name.get(worst.target)))
    return sections


def _members(target: TargetResult) -> str:
    """How good each network of the ensemble is by itself; empty for a single network."""
    metric = HEADLINE[target.kind]
    found = target.members.get(metric)
    if found is None or found.std is None:
        return ""
    each = f"{print_score(metric, found.mean)} ± {print_score(metric, found.std)}"
    unit = f" {target.unit}" if target.unit and target.kind == "regression" else ""
    return (
        f"The score is that of the mean of {len(found.values)} networks; each by itself has "
        f"{LABELS[metric]} {each}{unit} (mean ± standard deviation)."
    )


def _parameter_sections(parameters: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Group parameters by their first key; deeper keys are joined by dots, as `--set` takes them."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            sections.setdefault(str(key), []).extend(_flatten(value))
        else:
            sections.setdefault("", []).append((str(key), _text(value)))
    return sections


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _text(value)


def _text(value: Any) -> str:
    """Print a value as YAML would, so it can be pasted into `params.yaml`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return str(value)
