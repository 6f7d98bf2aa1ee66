"""What a benchmark measured, row by row, and what it comes to over several seeds."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

ENSEMBLE = "ensemble"
"""Stands for a seed where predictions of several were averaged."""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One number."""

    benchmark: str
    target: str
    """A column of the benchmark."""
    method: str
    seed: str
    """Of the training; `ensemble`: the mean prediction of several; empty for what has none."""
    metric: str
    value: float
    unit: str
    n: int | None
    """Molecules that were judged; none where labels of a mean have different numbers of them."""
    seconds: float | None
    """That training took, of all seeds together; none for what is not trained here, or not timed."""
    source: str
    """`measured`, or where it was published."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One method on one column."""

    mean: float
    std: float | None
    """Over seeds, with n - 1; none of a single one."""
    runs: int
    """Seeds that it is the mean of."""


def summarise(rows: Iterable[ResultRow], method: str, target: str, metric: str) -> Summary | None:
    """A method's mean over its seeds; an ensemble's own value is left out where there are seeds.

    Returns:
        None where there is no number of it.
    """
    mine = [row for row in rows if (row.method, row.target, row.metric) == (method, target, metric)]
    values = [row.value for row in mine if row.seed != ENSEMBLE] or [row.value for row in mine]
    if not values:
        return None
    return Summary(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def averaged(rows: Sequence[ResultRow], target: str, labels: Collection[str]) -> list[ResultRow]:
    """The mean over labels, of rows that differ in nothing but target and value.

    Args:
        rows: Of these labels.
        target: What the mean is called.
        labels: All that it is the mean of.

    Returns:
        A row for every method, seed and metric that all labels have: one that is undefined for a label, such
        as the ROC AUC of a single class, has no mean.
    """
    groups: dict[tuple[str, str, str], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault((row.method, row.seed, row.metric), []).append(row)
    return [_mean(group, target) for group in groups.values() if {row.target for row in group} == set(labels)]


def _mean(group: Sequence[ResultRow], target: str) -> ResultRow:
    first = group[0]
    units, counts = {row.unit for row in group}, {row.n for row in group}
    return ResultRow(
        benchmark=first.benchmark,
        target=target,
        method=first.method,
        seed=first.seed,
        metric=first.metric,
        value=fmean(row.value for row in group),
        unit=first.unit if len(units) == 1 else "",
        n=first.n if len(counts) == 1 else None,
        seconds=first.seconds,
        source=first.source,
    )
