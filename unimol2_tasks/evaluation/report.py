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
from unimol2_tasks.evaluation.pages import data_uri, page_environment
from unimol2_tasks.evaluation.plots import curve_chart, target_charts
from unimol2_tasks.evaluation.scoretable import ScoreTable, headline, number, score_table

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
    charts: list[Chart]


@dataclass(frozen=True, slots=True)
class _WorstCard:
    smiles: str
    drawing: str
    target: str
    true: str
    predicted: str
    error: str
    unit: str


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
    units = {target.name: target.unit for target in report.targets}
    kinds = {target.name: target.kind for target in report.targets}
    return (
        page_environment()
        .get_template("report.html.jinja")
        .render(
            report=report,
            headlines=[line for target in report.targets if (line := headline(target))],
            targets=[_target_section(target) for target in report.targets],
            curves=[curve_chart(curve) for curve in report.curves],
            worst=[_worst_card(worst, units, kinds) for worst in report.worst],
            parameters=_parameter_sections(report.parameters),
        )
    )


def _target_section(target: TargetResult) -> _TargetSection:
    missing = int(np.isnan(np.asarray(target.y_true, dtype=np.float64)).sum())
    total = len(np.asarray(target.y_true))
    return _TargetSection(target.name, total - missing, missing, score_table(target), target_charts(target))


def _worst_card(worst: WorstPrediction, units: Mapping[str, str], kinds: Mapping[str, str]) -> _WorstCard:
    binary = kinds.get(worst.target) == "binary"
    return _WorstCard(
        smiles=worst.smiles,
        drawing=data_uri(worst.drawing_svg),
        target=worst.target,
        true=f"{worst.y_true:g}" if binary else number(worst.y_true),
        predicted=number(worst.y_pred),
        error=number(worst.y_pred - worst.y_true),
        unit=units.get(worst.target, ""),
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
