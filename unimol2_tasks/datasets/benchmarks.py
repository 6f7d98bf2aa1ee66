"""Benchmarks: which molecules, which split, which targets, which metric."""

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from unimol2_tasks.datasets.catalogue import PublicDataset, find_dataset
from unimol2_tasks.errors import UserError

SPLIT_COLUMN = "split"
"""The column of a benchmark's table that says train, valid or test, where its publisher says so."""

_FolderName = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
Metric = Literal["mae", "rmse", "roc_auc"]


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedLists(_Fact):
    """Train and test molecules as their publisher separated them: extra files of the data set."""

    train: str
    test: str
    smiles: str
    """Their column with SMILES."""
    labels: dict[str, str]
    """Target of the data set by the column that it has in these files."""
    omit: dict[str, str] = Field(default_factory=dict)
    """Rows that are left out, by `train-N` or `test-N` counted from 1, and why."""


class MoleculeTable(_Fact):
    """Molecules with labels, and how they are prepared and split."""

    dataset: str
    """Of the catalogue."""
    lists: PublishedLists | None = None
    """Used instead of the data set's table and of its usual split."""
    prepare: dict[str, Any] = Field(default_factory=dict)
    """Keys of `prepare` that differ from the defaults."""

    @property
    def source(self) -> PublicDataset:
        """The data set."""
        return find_dataset(self.dataset)


class Task(_Fact):
    """One fine-tuning: labels that one network learns together."""

    name: str = _FolderName
    table: str
    metric: Metric
    """What the result shows."""
    columns: dict[str, tuple[str, ...]]
    """Labels by the column of the result; of several the mean of their metrics."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All that are learned."""
        return tuple(label for labels in self.columns.values() for label in labels)


class Benchmark(_Fact):
    """Tables of molecules, and tasks on them."""

    name: str = _FolderName
    title: str
    published: str | None = None
    """Whose published values are shown; none: those of its own name."""
    note: str = ""
    """What a reader of the result has to know."""
    tables: dict[str, MoleculeTable]
    tasks: tuple[Task, ...]

    @model_validator(mode="after")
    def _tasks_have_what_they_learn(self) -> Self:
        for task in self.tasks:
            known = {target.name for target in self.tables[task.table].source.targets}
            if missing := set(task.labels) - known:
                raise ValueError(f"{self.name}, {task.name}: no target {', '.join(sorted(missing))}")
        return self

    def unit(self, task: Task, column: str) -> str:
        """The unit of a column of the result; empty for classes, and where its labels have several."""
        labels = task.columns[column]
        targets = self.tables[task.table].source.targets
        units = {target.unit for target in targets if target.name in labels}
        return units.pop() if len(units) == 1 else ""


class _Defaults(_Fact):
    prepare: dict[str, Any]
    finetune: dict[str, Any]


class _File(_Fact):
    defaults: _Defaults
    benchmarks: tuple[Benchmark, ...]


@cache
def _read() -> _File:
    text = files("unimol2_tasks.datasets").joinpath("benchmarks.yaml").read_text(encoding="utf-8")
    return _File.model_validate(yaml.safe_load(text))


def benchmarks() -> tuple[Benchmark, ...]:
    """All that are defined, in the order of the file."""
    return _read().benchmarks


def find_benchmark(name: str) -> Benchmark:
    """The benchmark called `name`, in any case; `BENCHMARK/TASK`: with that task alone.

    Raises:
        UserError: There is none; the message names those that are alike, or the tasks that there are.
    """
    known = {benchmark.name: benchmark for benchmark in benchmarks()}
    wanted, _, task = name.lower().partition("/")
    if wanted not in known:
        close = difflib.get_close_matches(wanted, known, n=3) or list(known)
        raise UserError(f"no benchmark is called {wanted!r}; did you mean {', '.join(close)}?")
    return known[wanted] if not task else _with_one_task(known[wanted], task)


def _with_one_task(benchmark: Benchmark, name: str) -> Benchmark:
    tasks = tuple(task for task in benchmark.tasks if task.name == name)
    if not tasks:
        there = ", ".join(task.name for task in benchmark.tasks)
        raise UserError(f"{benchmark.name} has no task {name!r}; there are {there}")
    return benchmark.model_copy(update={"tasks": tasks})


def assignments(table: MoleculeTable, task: Task | None = None) -> list[str]:
    """What the definition says about parameters, as `--set` would.

    Args:
        table: Says how molecules are prepared and split.
        task: Says what is learned, whose units the catalogue has; none: the preparation alone.
    """
    defaults = _read().defaults
    prepare = defaults.prepare | _usual_split(table) | _duplicates(table) | table.prepare
    if task is None:
        return [*_assign("prepare", prepare), *_assign("finetune", defaults.finetune)]
    learned = [target for target in table.source.targets if target.name in task.labels]
    kinds = {target.name: target.task for target in learned}
    finetune = defaults.finetune | {"targets": task.labels, "task": kinds} | _judge(task)
    evaluate = {"units": {target.name: target.unit for target in learned if target.unit}}
    return [*_assign("prepare", prepare), *_assign("finetune", finetune), *_assign("evaluate", evaluate)]


def _usual_split(table: MoleculeTable) -> dict[str, Any]:
    if table.lists is not None:
        return {"split": "column", "split_column": SPLIT_COLUMN}
    similarity = table.source.split_similarity
    return {"split": table.source.split} | ({} if similarity is None else {"split_similarity": similarity})


def _judge(task: Task) -> dict[str, Any]:
    """Numbers are judged by the loss they are learnt with, classes by the figure of the result."""
    return {"best_by": "roc_auc"} if task.metric == "roc_auc" else {}


def _duplicates(table: MoleculeTable) -> dict[str, Any]:
    """The mean of a molecule's contradicting classes is none."""
    binary = any(target.task == "binary" for target in table.source.targets)
    return {"duplicate_labels": "drop-conflicting"} if binary else {}


def _assign(section: str, values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        # JSON is YAML, which assignments are read as.
        yield f"{section}.{key}={json.dumps(value)}"
