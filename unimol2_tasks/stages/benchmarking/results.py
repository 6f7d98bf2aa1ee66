"""What the reports of a folder of benchmarks say: a long table, and the papers' tables with our rows."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.datasets.benchmarks import Benchmark, Task, benchmarks
from unimol2_tasks.errors import UserError
from unimol2_tasks.evaluation.benchmark_rows import ENSEMBLE, ResultRow, averaged
from unimol2_tasks.evaluation.benchmark_table import (
    BenchmarkTable,
    Column,
    Methods,
    benchmark_table,
    markdown,
)
from unimol2_tasks.evaluation.published import published
from unimol2_tasks.stages.benchmarking.notes import benchmark_notes
from unimol2_tasks.stages.benchmarking.places import (
    Places,
    Start,
    read_if_there,
    replace_text,
    training_seconds,
)
from unimol2_tasks.stages.evaluate import JUDGED

NETWORKS: dict[Start, str] = {"pretrained": "pretrained", "scratch": "from scratch"}
"""What the result calls them."""
_IN_UNITS = frozenset({"mae", "rmse"})
_METRICS = "metrics.json"
_MEMBERS = "members.json"
_SCHEMA = {
    "benchmark": pl.String, "target": pl.String, "method": pl.String, "seed": pl.String, "metric": pl.String,
    "value": pl.Float64, "unit": pl.String, "n": pl.Int64, "seconds": pl.Float64, "source": pl.String,
}  # fmt: skip


def begun(out: Path) -> list[Benchmark]:
    """The benchmarks of which a folder has something.

    Raises:
        UserError: Of none.
    """
    if not is_begun(out):
        raise UserError(f"{out}: holds no benchmark; make one by `unimol2 benchmark NAME --out {out}`")
    return [benchmark for benchmark in benchmarks() if Places(out, benchmark.name).folder.is_dir()]


def is_begun(out: Path) -> bool:
    """Whether a folder has something of any benchmark."""
    return any(Places(out, benchmark.name).folder.is_dir() for benchmark in benchmarks())


def tables(out: Path) -> list[BenchmarkTable]:
    """The table of every benchmark that was begun, with what is there already.

    Raises:
        UserError: As `begun`, or a manifest or report is damaged.
    """
    return [_table(benchmark, out) for benchmark in begun(out)]


def write_results(out: Path) -> None:
    """Write `results.csv` and `results.json`, the long table, and `results.md`, the papers' tables."""
    # Else who has read first may write last, without what came meanwhile.
    with Workspace(str(out), Store()).alone():
        rows = [row for benchmark in begun(out) for row in (*measured(benchmark, out), *_printed(benchmark))]
        frame = pl.DataFrame([asdict(row) for row in rows], schema=_SCHEMA)
        text = "\n".join(markdown(table) for table in tables(out))
        replace_text(out / "results.csv", frame.write_csv())
        replace_text(out / "results.json", json.dumps(frame.to_dicts(), indent=1, ensure_ascii=False) + "\n")
        replace_text(out / "results.md", text)


def measured(benchmark: Benchmark, out: Path) -> list[ResultRow]:
    """All numbers of the reports that are there."""
    return [
        row
        for task in benchmark.tasks
        for column, rows in _by_column(benchmark, task, out).items()
        for row in averaged(rows, column, task.columns[column])
    ]


def _by_column(benchmark: Benchmark, task: Task, out: Path) -> dict[str, list[ResultRow]]:
    """The numbers of each label of a task, by the column that they are a part of."""
    places = Places(out, benchmark.name)
    found = [row for start in NETWORKS for row in _of_report(benchmark, task, start, places)]
    # Baselines are the same in every report of a task.
    unique = {(row.target, row.method, row.seed, row.metric): row for row in found}.values()
    return {
        column: [row for row in unique if row.target in labels] for column, labels in task.columns.items()
    }


@dataclass(frozen=True, slots=True)
class _Judged:
    """A report that is there, and the trainings that it is of."""

    network: str
    scores: dict[str, dict[str, dict[str, float]]]
    """By label, method and metric."""
    members: dict[str, dict[str, list[float]]]
    """By label and metric, in the order of the seeds; empty for a single training."""
    seconds: dict[str, float | None]
    """That training took, by seed; one entry for a single training."""

    def numbers(self, label: str, method: str) -> Iterator[tuple[str, str, float, float | None]]:
        """Seed, metric, value and seconds of a method."""
        own = method == JUDGED
        for metric, value in self.scores[label][method].items():
            if metric == "n":
                continue
            yield self._whole if own else "", metric, value, self._all_seconds if own else None
            values = self.members.get(label, {}).get(metric, []) if own else []
            if len(self.seconds) > 1 and len(values) == len(self.seconds):
                for (seed, taken), number in zip(self.seconds.items(), values, strict=True):
                    yield seed, metric, number, taken

    @property
    def _whole(self) -> str:
        return ENSEMBLE if len(self.seconds) > 1 else next(iter(self.seconds))

    @property
    def _all_seconds(self) -> float | None:
        known = [taken for taken in self.seconds.values() if taken is not None]
        return sum(known) if len(known) == len(self.seconds) else None


def _judged(task: Task, start: Start, places: Places) -> _Judged | None:
    report, predictor = places.report(task.name, start), places.predictor(task.name, start)
    manifest = read_if_there(predictor)
    if manifest is None or read_if_there(report) is None:
        return None
    members = _read(report / _MEMBERS) if (report / _MEMBERS).is_file() else {}
    values = {
        label: {metric: found["values"] for metric, found in metrics.items()}
        for label, metrics in members.items()
    }
    return _Judged(
        NETWORKS[start],
        _read(report / _METRICS),
        values,
        training_seconds(task.name, start, places, manifest),
    )


def _of_report(benchmark: Benchmark, task: Task, start: Start, places: Places) -> Iterator[ResultRow]:
    judged = _judged(task, start, places)
    if judged is None:
        return
    units = {target.name: target.unit for target in benchmark.tables[task.table].source.targets}
    for label, methods in judged.scores.items():
        for method, scores in methods.items():
            for seed, metric, value, seconds in judged.numbers(label, method):
                yield ResultRow(
                    benchmark=benchmark.name,
                    target=label,
                    method=judged.network if method == JUDGED else method,
                    seed=seed,
                    metric=metric,
                    value=value,
                    unit=units.get(label, "") if metric in _IN_UNITS else "",
                    n=int(scores["n"]) if "n" in scores else None,
                    seconds=seconds,
                    source="measured",
                )


def _printed(benchmark: Benchmark) -> list[ResultRow]:
    return [
        ResultRow(
            benchmark.name, score.target, score.method, "", score.metric, score.value, score.unit, None, None,
            score.source,
        )
        for score in published(benchmark.published or benchmark.name)
    ]  # fmt: skip


def _table(benchmark: Benchmark, out: Path) -> BenchmarkTable:
    rows = measured(benchmark, out)
    columns = [
        Column(name, task.metric, benchmark.unit(task, name))
        for task in benchmark.tasks
        for name in task.columns
    ]
    places = Places(out, benchmark.name)
    networks = tuple(NETWORKS[start] for start in places.wanted_starts())
    judged = [
        (row.method, column)
        for task in benchmark.tasks
        for column, found in _by_column(benchmark, task, out).items()
        for row in found
    ]
    others = dict.fromkeys(method for method, _ in judged if method not in networks)
    return benchmark_table(
        f"{benchmark.name}: {benchmark.title}",
        rows,
        columns,
        Methods(networks, tuple(others), frozenset(judged)),
        [*benchmark_notes(benchmark, places)],
        benchmark.published or benchmark.name,
    )


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
