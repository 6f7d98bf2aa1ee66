"""What pretraining is worth on benchmarks, beside the best baseline; how often 90 % intervals hold.

unimol2 benchmark bace lipophilicity --model runs/model --scratch --out runs/benchmarks
python benchmarks/finetuning_results.py runs/benchmarks
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from unimol2_tasks.datasets.benchmarks import Task
from unimol2_tasks.evaluation.benchmark_rows import ENSEMBLE, ResultRow, Summary, summarise
from unimol2_tasks.stages.benchmarking.places import Places
from unimol2_tasks.stages.benchmarking.results import NETWORKS, begun, measured
from unimol2_tasks.stages.evaluation.intervals import LEVEL


@dataclass(frozen=True, slots=True)
class Line:
    """One column of a benchmark."""

    name: str
    metric: str
    tested: int
    scratch: Summary
    pretrained: Summary
    ensemble: float
    """Of the pretrained seeds; of a single one, its own value."""
    baseline: str
    baseline_value: float

    @property
    def higher_is_better(self) -> bool:
        """Else it is an error."""
        return self.metric == "roc_auc"

    def better(self, one: float, other: float) -> bool:
        """Whether the first value is."""
        return one > other if self.higher_is_better else one < other

    @property
    def gain(self) -> float:
        """The share of the error that pretraining takes away; of ROC AUC, of what lacks to 1."""
        before, after = self.scratch.mean, self.pretrained.mean
        return (after - before) / (1 - before) if self.higher_is_better else (before - after) / before


@dataclass(frozen=True, slots=True)
class Held:
    """Intervals of one label."""

    benchmark: str
    label: str
    covered: int
    tested: int


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="--out of `unimol2 benchmark`")
    folder = parser.parse_args().folder
    console = Console()
    console.print(result_table(list(lines(folder))))
    console.print(coverage_table(list(held(folder))))


def lines(folder: Path) -> Iterator[Line]:
    """Columns of which both networks are there."""
    for benchmark in begun(folder):
        rows = measured(benchmark, folder)
        for task in benchmark.tasks:
            for column in task.columns:
                line = _line(rows, task, column, f"{benchmark.name}: {column}")
                if line is not None:
                    yield line


def _line(rows: Sequence[ResultRow], task: Task, column: str, name: str) -> Line | None:
    mine = [row for row in rows if row.target == column and row.metric == task.metric]
    scratch = summarise(mine, NETWORKS["scratch"], column, task.metric)
    pretrained = summarise(mine, NETWORKS["pretrained"], column, task.metric)
    if scratch is None or pretrained is None:
        return None
    own = [row for row in mine if row.method == NETWORKS["pretrained"]]
    ensemble = next((row.value for row in own if row.seed == ENSEMBLE), pretrained.mean)
    baselines = {row.method: row.value for row in mine if row.method not in NETWORKS.values()}
    choose = max if task.metric == "roc_auc" else min
    best = choose(baselines, key=baselines.__getitem__)
    return Line(name, task.metric, own[0].n or 0, scratch, pretrained, ensemble, best, baselines[best])


def held(folder: Path) -> Iterator[Held]:
    """How often the intervals of the pretrained networks hold, label by label."""
    for benchmark in begun(folder):
        places = Places(folder, benchmark.name)
        for task in benchmark.tasks:
            path = places.report(task.name, "pretrained") / "coverage.json"
            found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            for label, levels in found.items():
                for at in (level for level in levels if level["level"] == LEVEL):
                    yield Held(benchmark.name, label, at["covered"], at["n"])


def result_table(found: Sequence[Line]) -> Table:
    """A row for every column; the caption counts where pretraining helps and where baselines are beaten."""
    helped = sum(line.better(line.pretrained.mean, line.scratch.mean) for line in found)
    won = sum(line.better(line.ensemble, line.baseline_value) for line in found)
    caption = (
        f"pretraining helps on {helped} of {len(found)}; the ensemble of pretrained networks beats the best "
        f"baseline on {won}"
    )
    table = Table(title="Held-out molecules", caption=caption, caption_justify="left")
    table.add_column("result")
    for column in ("metric", "n", "from scratch", "pretrained", "gain", "ensemble", "best baseline"):
        table.add_column(column, justify="right")
    for line in found:
        table.add_row(
            line.name,
            line.metric,
            f"{line.tested:,}",
            _spread(line.scratch),
            _spread(line.pretrained),
            f"{100 * line.gain:+.0f} %",
            _figure(line.ensemble),
            f"{_figure(line.baseline_value)} ({line.baseline})",
        )
    return table


def coverage_table(found: Sequence[Held]) -> Table:
    """Each label, each benchmark of several, and all together."""
    table = Table(title="90 % conformal intervals, held-out molecules")
    table.add_column("label")
    table.add_column("n", justify="right")
    table.add_column("covered", justify="right")
    by_benchmark: dict[str, list[Held]] = {}
    for one in found:
        by_benchmark.setdefault(one.benchmark, []).append(one)
    several = [_together(name, labels) for name, labels in by_benchmark.items() if len(labels) > 1]
    for one in [*found, *several, _together("all", found)] if found else []:
        name = f"{one.benchmark}: {one.label}" if one.label else one.benchmark
        table.add_row(name, f"{one.tested:,}", f"{one.covered / one.tested:.1%}")
    return table


def _together(name: str, labels: Sequence[Held]) -> Held:
    return Held(name, "", sum(one.covered for one in labels), sum(one.tested for one in labels))


def _spread(summary: Summary) -> str:
    if summary.std is None:
        return f"{_figure(summary.mean)} (1 seed)"
    return f"{_figure(summary.mean)} ± {_figure(summary.std)} ({summary.runs})"


def _figure(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 0.1 else f"{value:.3f}"


if __name__ == "__main__":
    main()
