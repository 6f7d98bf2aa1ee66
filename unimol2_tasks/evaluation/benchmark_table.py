"""A benchmark's result as the paper's table, with what was measured here below what was published."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from unimol2_tasks.evaluation.benchmark_rows import ENSEMBLE, ResultRow, Summary, summarise
from unimol2_tasks.evaluation.published import missing_from, published

_LABELS = {"mae": "MAE", "rmse": "RMSE", "roc_auc": "ROC AUC"}
_LOWER_IS_BETTER = frozenset({"mae", "rmse"})
_EMPTY = "–"
_NOT_YET = "not there yet"
_UNDEFINED = "undefined for a label"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the result."""

    target: str
    metric: str
    unit: str

    @property
    def head(self) -> str:
        """What stands above it."""
        unit = f", {self.unit}" if self.unit and self.metric in _LOWER_IS_BETTER else ""
        return f"{self.target}: {_LABELS[self.metric]}{unit}"


@dataclass(frozen=True, slots=True)
class Methods:
    """What was measured, as a reader should see it."""

    trained: tuple[str, ...]
    """Networks, the one that is of interest first."""
    baselines: tuple[str, ...]
    judged: frozenset[tuple[str, str]] = frozenset()
    """Method and column of the reports that are there: without a number it is undefined for a label."""


@dataclass(frozen=True, slots=True)
class BenchmarkTable:
    """Text, ready to print."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Method, where its numbers are from, and a cell per column."""
    notes: tuple[str, ...]


def benchmark_table(
    title: str,
    rows: Sequence[ResultRow],
    columns: Sequence[Column],
    methods: Methods,
    notes: Sequence[str],
    published_as: str,
) -> BenchmarkTable:
    """Lay out a benchmark.

    Args:
        title: What it is.
        rows: What was measured.
        columns: In the order of the paper.
        methods: What was measured; a network without a number is shown as missing.
        notes: What a reader has to know.
        published_as: Whose published values are shown.
    """
    every = (*methods.trained, *methods.baselines)
    measured = [line for method in every for line in _measured(rows, columns, method, methods.judged)]
    compared = [note for column in columns for note in _comparison(rows, column, methods)]
    missing = [f"published values that are missing here: {text}" for text in missing_from(published_as)]
    return BenchmarkTable(
        title,
        ("method", "numbers", *(column.head for column in columns)),
        (*_published(published_as, columns), *measured),
        (*notes, *compared, *missing),
    )


def markdown(table: BenchmarkTable) -> str:
    """The table as Markdown, under its title as a heading."""
    lines = [f"## {table.title}", "", _line(table.head), _line(["---"] * len(table.head))]
    lines += [_line(row) for row in table.rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in table.notes), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _published(name: str, columns: Sequence[Column]) -> Iterator[tuple[str, ...]]:
    scores = published(name)
    methods = {score.method: score.source for score in scores}
    printed = {(score.method, score.target, score.metric): score.printed for score in scores}
    for method, source in methods.items():
        cells = [printed.get((method, column.target, column.metric)) for column in columns]
        if any(cells):
            yield method, source, *(cell or _EMPTY for cell in cells)


def _measured(
    rows: Sequence[ResultRow], columns: Sequence[Column], method: str, judged: Set[tuple[str, str]]
) -> Iterator[tuple[str, ...]]:
    """A method's mean over its seeds, and the error of the mean of their predictions."""
    empty = [_UNDEFINED if (method, column.target) in judged else _NOT_YET for column in columns]
    summaries = [summarise(rows, method, column.target, column.metric) for column in columns]
    runs = max((summary.runs for summary in summaries if summary is not None), default=0)
    seeds = f", {runs} seeds" if runs > 1 else ""
    yield method, f"measured here{seeds}", *map(_cell, summaries, empty)
    if runs > 1:
        whole = [row for row in rows if row.seed == ENSEMBLE]
        together = [summarise(whole, method, column.target, column.metric) for column in columns]
        yield f"{method}, ensemble", "measured here", *map(_cell, together, empty)


def _cell(summary: Summary | None, empty: str) -> str:
    if summary is None:
        return empty
    if summary.std is None:
        return f"{summary.mean:.4g}"
    return f"{summary.mean:.4g} ± {summary.std:.2g}"


def _comparison(rows: Sequence[ResultRow], column: Column, methods: Methods) -> Iterator[str]:
    """The first network beside the others, and beside the best baseline; nothing where none is wanted yet."""
    if not methods.trained:
        return
    known = {
        method: summary.mean
        for method in (*methods.trained, *methods.baselines)
        if (summary := summarise(rows, method, column.target, column.metric)) is not None
    }
    first = methods.trained[0]
    others = [method for method in methods.trained[1:] if method in known]
    baselines = [method for method in methods.baselines if method in known]
    if baselines:
        sign = 1 if column.metric in _LOWER_IS_BETTER else -1
        others.append(min(baselines, key=lambda method: sign * known[method]))
    if first in known and others:
        changes = [f"{_change(known[first], known[other])} against {other}" for other in others]
        wanted = "lower" if column.metric in _LOWER_IS_BETTER else "higher"
        yield f"{column.target}, {first}: {', '.join(changes)} ({wanted} is better)"


def _change(value: float, other: float) -> str:
    return f"{100 * (value - other) / abs(other):+.1f} %" if other else f"{value - other:+.3g}"
