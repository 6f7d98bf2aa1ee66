"""`unimol2 benchmark`: published molecules, published splits, published numbers, and ours beside them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unimol2_tasks.artifacts.s3 import is_s3
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import ParamsOption, SetOption
from unimol2_tasks.console import console, progress_bars
from unimol2_tasks.datasets.benchmarks import Benchmark, benchmarks, find_benchmark
from unimol2_tasks.errors import TrainingFailed, UserError

if TYPE_CHECKING:
    from unimol2_tasks.evaluation.benchmark_table import BenchmarkTable
    from unimol2_tasks.stages.benchmark import BenchmarkInputs, Overrides

_LIST, _SHOW = "list", "show"


def benchmark(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Benchmarks, one after the other, or single tasks, BENCHMARK/TASK; or `list`; or "
            "`show OUT`: what is there.",
        ),
    ],
    out: Annotated[str | None, typer.Option("--out", help="A folder for all their parts.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A pretrained model; default: only from scratch.")
    ] = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Also train the same network from fresh weights.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Folder with the upstream files, under any name; default: download them."
        ),
    ] = None,
    subset: Annotated[
        int | None, typer.Option("--subset", min=1, help="So many rows of each table, always the same.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="Of the trainings, separated by commas; default: 0,1,2.")
    ] = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Prepare, fine-tune and evaluate public benchmarks beside published numbers; run again, it goes on."""
    if names == [_LIST]:
        Console().print(_list())
        return
    if names[0] == _SHOW:
        _show(_folder_of(names))
        return
    if out is None:
        raise UserError("benchmark: --out is missing; name a folder for the results")
    if is_s3(out):
        raise UserError(f"--out {out}: the parts of a benchmark are kept in a folder of this machine")
    from unimol2_tasks.stages import benchmark as stage
    from unimol2_tasks.stages.benchmarking.results import is_begun

    chosen = [find_benchmark(name) for name in names]
    changes = (*(assignments or ()), *([] if seeds is None else [f"finetune.seeds=[{seeds}]"]))
    inputs = stage.BenchmarkInputs(model, scratch, data, subset)
    problems = _run(chosen, inputs, stage.Overrides(params, changes), Path(out))
    if is_begun(Path(out)):
        _show(Path(out))
    if problems:
        _say_others(problems)
        raise problems[0]


def _run(
    chosen: list[Benchmark], inputs: "BenchmarkInputs", overrides: "Overrides", out: Path
) -> list[UserError | TrainingFailed]:
    """Run them all; what one cannot do does not stop the others."""
    from unimol2_tasks.stages import benchmark as stage
    from unimol2_tasks.stages.benchmarking.results import is_begun, write_results

    problems: list[UserError | TrainingFailed] = []
    for one in chosen:
        try:
            with progress_bars():
                stage.run(one, inputs, overrides, out, Store())
        except (UserError, TrainingFailed) as problem:
            if stage.was_stopped(problem):
                raise
            problems.append(problem)
        if is_begun(out):
            write_results(out)
    return problems


def _say_others(problems: list[UserError | TrainingFailed]) -> None:
    """Whoever reads of the first alone would mend it and meet the next."""
    for said in dict.fromkeys(map(str, problems)):
        if said != str(problems[0]):
            console.print(f"unimol2: {said}", markup=False, highlight=False, soft_wrap=True)


def _folder_of(names: list[str]) -> Path:
    if len(names) != 2:
        raise UserError("benchmark show: expected one folder, as in `unimol2 benchmark show runs/benchmarks`")
    return Path(names[1])


def _show(out: Path) -> None:
    from unimol2_tasks.stages.benchmarking.results import tables

    screen = Console()
    for table in tables(out):
        screen.print(_rich(table))
        for note in table.notes:
            screen.print(f"  {escape(note)}", highlight=False)


def _rich(content: "BenchmarkTable") -> Table:
    table = Table(title=escape(content.title))
    for number, head in enumerate(content.head):
        table.add_column(escape(head), overflow="fold", justify="left" if number < 2 else "right")
    for row in content.rows:
        table.add_row(*map(escape, row), style="dim" if row[1].startswith("published") else None)
    return table


def _list() -> Table:
    table = Table(show_lines=True)
    for head in ("name", "molecules", "columns: metric", "split"):
        table.add_column(head, overflow="fold")
    for one in benchmarks():
        columns = [f"{name}: {task.metric}" for task in one.tasks for name in task.columns]
        table.add_row(one.name, one.title, "\n".join(columns), "\n".join(dict.fromkeys(_splits(one))))
    return table


def _splits(one: Benchmark) -> list[str]:
    return [
        "published lists" if table.lists is not None else str(table.prepare.get("split", table.source.split))
        for table in one.tables.values()
    ]
