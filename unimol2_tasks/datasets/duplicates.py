"""Rows that mean the same molecule become one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers import InputRow

LabelRule = Literal["mean", "first"]


@dataclass(frozen=True, slots=True)
class Merged:
    """One row per molecule, in the order of the first rows."""

    rows: list[InputRow]
    """First rows, with merged labels."""
    duplicates: list[Reject]
    """The other rows; the reason names the row that each went into."""
    conflicts: int
    """Molecules whose duplicates disagree on a label."""


def merge_duplicates(identified: Iterable[tuple[InputRow, str]], rule: LabelRule) -> Merged:
    """Merge rows with the same InChIKey.

    Args:
        identified: Rows with their InChIKeys.
        rule: `mean` or `first` of the values that are not missing becomes the label.
    """
    groups: dict[str, list[InputRow]] = {}
    for row, inchikey in identified:
        groups.setdefault(inchikey, []).append(row)
    duplicates = [
        Reject(row.row, row.smiles, "deduplicate", f"duplicate of row {group[0].row}")
        for group in groups.values()
        for row in group[1:]
    ]
    conflicts = sum(_disagree(group) for group in groups.values())
    return Merged([_merge(group, rule) for group in groups.values()], duplicates, conflicts)


def _merge(group: list[InputRow], rule: LabelRule) -> InputRow:
    if len(group) == 1:
        return group[0]
    return replace(group[0], labels=tuple(_merge_label(values, rule) for values in _known_values(group)))


def _merge_label(values: list[float], rule: LabelRule) -> float | None:
    if not values:
        return None
    return values[0] if rule == "first" else fmean(values)


def _disagree(group: list[InputRow]) -> bool:
    return any(len(set(values)) > 1 for values in _known_values(group))


def _known_values(group: list[InputRow]) -> list[list[float]]:
    columns = zip(*(row.labels for row in group), strict=True)
    return [[value for value in column if value is not None] for column in columns]
