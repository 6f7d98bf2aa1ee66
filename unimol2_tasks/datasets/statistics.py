"""What is in a dataset, counted from its files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from unimol2_tasks.artifacts.schemas import LABEL_PREFIX, SPLIT_NAMES
from unimol2_tasks.datasets.statistics_page import render_statistics
from unimol2_tasks.datasets.statistics_shards import count_elements, energy_ranges, label_summary

_TOP_SCAFFOLDS = 40
"""As many as the paper's figure shows."""
_TOP_REASONS = 20
_LONGEST_REASON = 200
_FOLDS = (
    # RDKit quotes the SMILES it stumbled over, and lists atoms by their numbers.
    (r"(?s)(while parsing|for input): .*$", "${1}: …"),
    (r"'[^']*'", "'…'"),
    (r"\b\d+(?:\.\d+)?\b(?:[ ,]+\d+(?:\.\d+)?\b)*", "N"),
)
"""Patterns of what differs from row to row in reasons that mean the same."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a dataset's rows came from, and what happened to them before they became molecules."""

    table: str
    """Name of the table."""
    sources: tuple[str, ...]
    """Names of its files."""
    rows_in: int
    changes: Mapping[str, int]
    """Molecules that standardisation changed, by change."""
    duplicates: int
    """Rows that were merged into another row or dropped with it."""
    conflicts: int
    """Molecules whose duplicates disagree on a label."""


def summarise(folder: Path, origin: Origin, splits_report: Mapping[str, Any]) -> dict[str, Any]:
    """Count a dataset; the result holds plain JSON values and depends on the dataset alone.

    Tables are read batch by batch and a few columns at a time. What stays in memory is one column of
    labels at a time (8 bytes per known value) and the distinct reasons of rejects.

    Args:
        folder: Of the dataset, complete but for statistics and manifest.
        origin: What the dataset's files do not tell.
        splits_report: How similar the parts are to each other; shown as it is, under `leakage`.

    Returns:
        What `statistics.json` holds. `scaffolds` counts Murcko scaffolds; the molecules without a ring
        have none and are `acyclic`. `elements` counts atoms, `element_molecules` molecules. Energies
        are in kcal/mol, labels in their own units.
    """
    index = pl.scan_parquet(folder / "index.parquet")
    splits = pl.scan_parquet(folder / "splits.parquet")
    shards = sorted((folder / "molecules").glob("part-*.parquet"))
    molecules = pq.read_metadata(folder / "index.parquet").num_rows
    rejects = _reject_reasons(folder / "rejects.csv")
    elements, element_molecules = count_elements(shards)
    split_sizes = _counts(splits, "split")
    return {
        "table": origin.table,
        "sources": list(origin.sources),
        "rows": {"in": origin.rows_in, "out": molecules, "rejects": int(rejects["rows"].sum())},
        "molecules": molecules,
        "splits": {split: split_sizes.get(split, 0) for split in SPLIT_NAMES},
        "folds": _counts(splits, "fold"),
        **_scaffolds(folder / "scaffolds.parquet"),
        "heavy_atoms": _counts(index, "atoms"),
        "elements": elements,
        "element_molecules": element_molecules,
        "conformers": _counts(index, "conformers"),
        "methods": _counts(pl.scan_parquet(shards), "method"),
        "energies": energy_ranges(shards),
        "labels": {name: label_summary(shards, name) for name in _label_names(shards)},
        "standardisation": dict(sorted(origin.changes.items())),
        "duplicates": origin.duplicates,
        "conflicting_duplicates": origin.conflicts,
        "rejects": {stage: int(rows) for stage, rows in _by_stage(rejects)},
        "reject_reasons": rejects.head(_TOP_REASONS).to_dicts(),
        "leakage": dict(splits_report),
    }


def write_statistics(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write `statistics.json` and `statistics.html`; the same summary always gives the same bytes."""
    text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "statistics.json").write_text(text + "\n", encoding="utf-8")
    (folder / "statistics.html").write_text(render_statistics(summary), encoding="utf-8")


def _counts(table: pl.LazyFrame, column: str) -> dict[str, int]:
    """How often each known value occurs, in the order of the values."""
    known = table.filter(pl.col(column).is_not_null())
    frame = known.group_by(column).len().sort(column).collect(engine="streaming")
    return {str(value): count for value, count in frame.rows()}


def _scaffolds(path: Path) -> dict[str, Any]:
    table = pl.scan_parquet(path)
    rings = table.filter(pl.col("scaffold") != "")
    acyclic = table.filter(pl.col("scaffold") == "").select(pl.col("molecules").sum())
    singletons = rings.filter(pl.col("molecules") == 1).select(pl.len())
    counts = pl.collect_all([rings.select(pl.len()), singletons, acyclic], engine="streaming")
    scaffolds, single, without = (int(frame.item()) for frame in counts)
    return {
        "scaffolds": scaffolds,
        "singleton_scaffolds": single,
        "acyclic": without,
        "top_scaffolds": rings.head(_TOP_SCAFFOLDS).collect(engine="streaming").to_dicts(),
    }


def _label_names(shards: Sequence[Path]) -> list[str]:
    names = pq.read_schema(shards[0]).names
    return [name.removeprefix(LABEL_PREFIX) for name in names if name.startswith(LABEL_PREFIX)]


def _reject_reasons(path: Path) -> pl.DataFrame:
    """Rejected rows by stage and kind of reason, most frequent first; columns stage, reason, rows."""
    reason = pl.col("reason")
    for pattern, replacement in _FOLDS:
        reason = reason.str.replace_all(pattern, replacement)
    ledger = pl.scan_csv(path, infer_schema=False).select("stage", reason.str.head(_LONGEST_REASON))
    grouped = ledger.group_by("stage", "reason").agg(pl.len().alias("rows"))
    return grouped.collect(engine="streaming").sort(
        "rows", "stage", "reason", descending=[True, False, False]
    )


def _by_stage(rejects: pl.DataFrame) -> list[tuple[str, int]]:
    return rejects.group_by("stage").agg(pl.col("rows").sum()).sort("stage").rows()
