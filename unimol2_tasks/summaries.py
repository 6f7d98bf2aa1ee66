"""Artifacts in a few lines, for people: data cards and score tables."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from unimol2_tasks.artifacts.manifest import Manifest
from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.datasets.ledger import Reject, read_ledger

_REASONS_SHOWN = 5
_INPUT_SHOWN = 80


def data_card(dataset: LocalArtifact) -> str:
    """A dataset as Markdown: where its rows went, and why some were rejected."""
    rows = dataset.manifest.rows
    statistics = json.loads((dataset.path / "statistics.json").read_text(encoding="utf-8"))
    lines = [f"# Dataset `{dataset.manifest.digest[:12]}`", "", f"`{dataset.uri}`", ""]
    if rows is not None:
        lines += [
            "| rows in | molecules | rejects |",
            "|---:|---:|---:|",
            f"| {rows.rows_in:,} | {rows.out:,} | {rows.rejects:,} |",
            "",
        ]
    splits = statistics.get("splits", {})
    lines += [f"- {name}: {count:,}" for name, count in splits.items()]
    reasons = reject_reasons(dataset.path / "rejects.csv")
    if reasons:
        lines += ["", "Rejected:", *(f"- {stage}: {count:,}" for stage, count in reasons)]
    return "\n".join(lines) + "\n"


def reject_reasons(ledger: Path) -> list[tuple[str, int]]:
    """The stages that rejected most rows, most first.

    Raises:
        ArtifactError: The file is no reject ledger.
    """
    stages: Counter[str] = Counter(reject.stage for reject in read_ledger(ledger))
    return stages.most_common(_REASONS_SHOWN)


def reject_rows(ledger: Path) -> list[dict[str, str | int]]:
    """The rejects by stage, most first, each with the first of its rows as an example.

    Raises:
        ArtifactError: The file is no reject ledger.
    """
    counts: Counter[str] = Counter()
    examples: dict[str, Reject] = {}
    for reject in read_ledger(ledger):
        counts[reject.stage] += 1
        examples.setdefault(reject.stage, reject)
    return [
        {
            "stage": stage,
            "rows": count,
            "first row": examples[stage].row,
            "its input": examples[stage].input[:_INPUT_SHOWN],
            "its reason": examples[stage].reason,
        }
        for stage, count in counts.most_common()
    ]


def prediction_card(predictions: Manifest, uri: str) -> str:
    """Predictions as Markdown: how many rows have values."""
    rows = predictions.rows
    counts = "" if rows is None else f"{rows.out:,} of {rows.rows_in:,} rows have values.\n"
    return f"# Predictions `{predictions.digest[:12]}`\n\n`{uri}`\n\n{counts}"


def score_rows(report: Path) -> list[dict[str, str | float]]:
    """The metrics of a report, a row per target and method."""
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    return [
        {"target": target, "method": method, **{name: short(value) for name, value in values.items()}}
        for target, methods in metrics.items()
        for method, values in methods.items()
    ]


def trial_rows(search: Path) -> list[dict[str, str | float | None]]:
    """The trials of a search, a row each, the best first."""
    table = pl.read_csv(search / "trials.csv", infer_schema_length=None)
    rows = table.sort("loss", "number", nulls_last=True).to_dicts()
    return [{name: short(value) for name, value in row.items()} for row in rows]


def metric_rows(folder: Path) -> list[dict[str, str | float]]:
    """The metrics of a model or predictor, a row each."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return [{"metric": name, "value": short(value)} for name, value in metrics.items()]


def short(value: Any) -> Any:
    """A number as people read it, with four significant digits; anything else as it is."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
