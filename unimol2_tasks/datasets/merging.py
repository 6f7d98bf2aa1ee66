"""What the labels of rows that mean the same molecule become."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

_SHOWN_ROWS = 4


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """Which rows mean the same molecule, and what becomes of their labels."""

    key: Literal["inchikey", "skeleton"]
    """skeleton: the first block of the InChIKey, which knows no stereochemistry and no isotopes."""
    labels: Literal["mean", "median", "first", "drop-conflicting"]
    """Of the values that are not missing; drop-conflicting: the mean, or no row at all."""
    tolerance: float
    """Labels conflict where the largest and the smallest value differ by more, in the label's unit."""


class _Merged(NamedTuple):
    """The rows of one molecule as one."""

    labels: tuple[float | None, ...]
    conflicts: bool
    reason: str | None = None


def merged_schema(labels: int) -> pa.Schema:
    """Columns of merged rows.

    `first` is the first row of the group, `label_0` and so on are its merged labels, `conflicts` is whether
    they disagreed, and `reason` is why all its rows are rejected, null where they are not.
    """
    values = [(f"label_{place}", pa.float64()) for place in range(labels)]
    return pa.schema([("first", pa.uint64()), *values, ("conflicts", pa.bool_()), ("reason", pa.string())])


def merge_groups(
    members: Iterable[pa.RecordBatch], rule: DuplicateRule, label_names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Merge the rows of each molecule.

    Args:
        members: Columns `first` (which says whose row it is), `row`, `label_0` and so on, sorted by the
            former two. Labels are finite or null.
        rule: What the labels become.
        label_names: For reasons.
    """
    schema = merged_schema(len(label_names))
    for table in _whole_groups(members):
        first = table["first"].to_numpy()
        starts = np.flatnonzero(np.append(True, first[1:] != first[:-1]))
        rows = table["row"].to_pylist()
        columns = [table[f"label_{place}"].to_pylist() for place in range(len(label_names))]
        groups = [
            _merge_group(
                rows[start:end], [_known(column[start:end]) for column in columns], rule, label_names
            )
            for start, end in pairwise([*starts.tolist(), len(rows)])
        ]
        verdicts = [(*group.labels, group.conflicts, group.reason) for group in groups]
        values = [first[starts], *zip(*verdicts, strict=True)]
        arrays = [pa.array(column, kind) for column, kind in zip(values, schema.types, strict=True)]
        yield pa.record_batch(arrays, schema=schema)


def _whole_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Cut the rows elsewhere, so that those of a molecule are together."""
    held: list[pa.Table] = []
    for batch in batches:
        table = pa.concat_tables([*held, pa.Table.from_batches([batch])])
        first = table["first"].to_numpy()
        start = int(np.searchsorted(first, first[-1]))
        if start:
            yield table.slice(0, start)
        held = [table.slice(start)]
    yield from held


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _merge_group(
    rows: Sequence[int], values: Sequence[Sequence[float]], rule: DuplicateRule, label_names: Sequence[str]
) -> _Merged:
    conflicts = [place for place, known in enumerate(values) if _disagree(known, rule.tolerance)]
    if conflicts and rule.labels == "drop-conflicting":
        place = conflicts[0]
        reason = _describe(rows, label_names[place], values[place], rule.tolerance)
        return _Merged((None,) * len(values), True, reason)
    return _Merged(tuple(_merge(known, rule) for known in values), bool(conflicts))


def _disagree(values: Sequence[float], tolerance: float) -> bool:
    if not values or min(values) == max(values):
        return False
    # As written: 1.1 and 1.0 do not differ by more than 0.1, though their binary neighbours do.
    low, high, most = (Decimal(repr(number)) for number in (min(values), max(values), float(tolerance)))
    return high - low > most


def _merge(values: Sequence[float], rule: DuplicateRule) -> float | None:
    if not values:
        return None
    if rule.labels == "first":
        return values[0]
    if rule.labels == "median":
        return _mean((statistics.median_low(values), statistics.median_high(values)))
    return _mean(values)


def _mean(values: Sequence[float]) -> float:
    """Of the exact sum, which knows no order."""
    try:
        return statistics.fmean(values)
    except OverflowError:
        # By fractions: slow, and without a largest number.
        return statistics.mean(values)


def _describe(rows: Sequence[int], label: str, values: Sequence[float], tolerance: float) -> str:
    unnamed = len(rows) - _SHOWN_ROWS
    shown = ", ".join(str(row) for row in rows[:_SHOWN_ROWS]) + (
        f" and {unnamed} more" if unnamed > 0 else ""
    )
    return (
        f"rows {shown} count as one molecule, but their {label} goes from {min(values)!r} to "
        f"{max(values)!r}; the label tolerance is {tolerance!r}"
    )
