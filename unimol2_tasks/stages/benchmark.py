"""Benchmarks from the published files to a table: every part is an artifact that the next run finds again."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from unimol2_model.config import SIZES
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.datasets.benchmark_tables import ID_COLUMN, write_table
from unimol2_tasks.datasets.benchmarks import Benchmark, MoleculeTable, Task, assignments
from unimol2_tasks.datasets.download import DATA_FOLDER
from unimol2_tasks.datasets.source_files import SourceFiles, downloaded_files, local_files
from unimol2_tasks.errors import ArtifactError, TrainingFailed, UserError
from unimol2_tasks.evaluation.published import published
from unimol2_tasks.params import Params, load_params
from unimol2_tasks.stages import ensemble, evaluate, finetune, prepare
from unimol2_tasks.stages.benchmarking.facts import refuse_other_rows, write_facts
from unimol2_tasks.stages.benchmarking.places import Places, Start
from unimol2_tasks.training.network import CONFIG

_LOGGER = logging.getLogger(__name__)
_NETWORK = (*SIZES, "length_rule", "initialisation", "dropout", "attention_dropout", "pair_dropout")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a person changes of the definitions."""

    file: Path | None = None
    """Its values go before those of the definitions."""
    assignments: tuple[str, ...] = ()
    """`section.key=value` each; they go before everything."""

    def over(self, definition: Sequence[str]) -> Params:
        """The definition with these changes.

        Raises:
            ParameterError: A key or value is refused.
        """
        own = [] if self.file is None else _as_assignments(load_params(self.file))
        return load_params(self.file, [*definition, *own, *self.assignments])


@dataclass(frozen=True, slots=True)
class BenchmarkInputs:
    """What is compared, and on which molecules."""

    model: str | None
    """A pretrained model; none: only from scratch."""
    scratch: bool
    """Whether the same network is trained from fresh weights too."""
    data: Path | None = None
    """A folder that has the upstream files; none: they are downloaded."""
    subset: int | None = None
    """So many rows of each table; none: all."""

    @property
    def starts(self) -> tuple[Start, ...]:
        """From where networks are trained."""
        starts: tuple[Start, ...] = ("pretrained",) if self.model is not None else ()
        return (*starts, "scratch") if self.scratch or not starts else starts


def run(
    benchmark: Benchmark, inputs: BenchmarkInputs, overrides: Overrides, out: Path, store: Store = Store()
) -> None:
    """Prepare, fine-tune and evaluate all tasks of a benchmark below `out`.

    What was made from the same inputs, parameters and code is found again. A task that fails does not stop
    the others.

    Raises:
        UserError: A file, parameter or artifact is wrong, of one task or several.
        TrainingFailed: Training ended without a result.
    """
    places = Places(out, benchmark.name)
    network = [] if inputs.model is None else _network_of(inputs.model, store)
    # All at once: a parameter that is refused is no reason to wait for the tasks before.
    settings = {
        task.name: overrides.over([*definition(benchmark, task), *network]) for task in benchmark.tasks
    }
    with Workspace(str(places.tables), store).alone():
        places.want(inputs.starts)
    problems: list[UserError | TrainingFailed] = []
    trainings: list[_Training] = []
    for task in benchmark.tasks:
        with _others_go_on(f"{benchmark.name}, {task.name}", problems):
            dataset = _prepare(benchmark, task.table, settings[task.name], inputs, places, store)
            for start in inputs.starts:
                sources = finetune.FinetuneInputs(
                    dataset.uri, inputs.model if start == "pretrained" else None
                )
                trainings.append(_Training(task, start, sources, settings[task.name], places, store))
    for training in trainings:
        training.refuse_others()
    for training in trainings:
        with _others_go_on(training.name, problems):
            training.run()
    if problems:
        raise problems[0]


@contextmanager
def _others_go_on(name: str, problems: list[UserError | TrainingFailed]) -> Iterator[None]:
    """Take note of what one of several cannot do.

    What somebody stopped stops all, and so does what was made with other parameters: the rest, with these,
    would stand beside it.
    """
    try:
        yield
    except (UserError, TrainingFailed) as problem:
        if was_stopped(problem) or isinstance(problem, ArtifactError):
            raise
        _LOGGER.error("%s: %s", name, problem)
        problems.append(problem)


def definition(benchmark: Benchmark, task: Task) -> list[str]:
    """What a task's definition says about parameters; its reports show the published values of the result."""
    name = benchmark.published or benchmark.name
    shown = [f"evaluate.published={name}"] if published(name) else []
    # Published numbers are of test molecules: those of another split must not stand beside them unasked.
    return [*assignments(benchmark.tables[task.table], task), "evaluate.split=test", *shown]


def was_stopped(problem: UserError | TrainingFailed) -> bool:
    """Whether somebody ended it, who does not want the rest either."""
    return isinstance(problem, TrainingFailed) and problem.reason == "stopped"


def _prepare(
    benchmark: Benchmark, name: str, params: Params, inputs: BenchmarkInputs, places: Places, store: Store
) -> ArtifactRef:
    table = benchmark.tables[name]
    # Another run below this `out` must not write the table anew while it is read here.
    with Workspace(str(places.tables), store).alone():
        refuse_other_rows(name, inputs.subset, places)
        written = write_table(table, _files(table, inputs, places), inputs.subset, places.table(name))
        write_facts(written, inputs.subset, places.facts(name))
        labels = [label for task in benchmark.tasks if task.table == name for label in task.labels]
        columns = prepare.PrepareInputs(
            str(written.path), written.smiles_column, ID_COLUMN, tuple(dict.fromkeys(labels))
        )
        _LOGGER.info(
            "%s, %s: preparing %d of %d rows", benchmark.name, name, written.rows.out, written.source_rows
        )
        return prepare.run(params.prepare, columns, str(places.dataset(name)), store)


def _files(table: MoleculeTable, inputs: BenchmarkInputs, places: Places) -> SourceFiles:
    if inputs.data is None:
        return downloaded_files(table.source, DATA_FOLDER)
    names = frozenset() if table.lists is None else frozenset({table.lists.train, table.lists.test})
    return local_files(table.source, inputs.data, names, places.tables)


@dataclass(frozen=True, slots=True)
class _Training:
    """A network of a task, from one of the starts."""

    task: Task
    start: Start
    sources: finetune.FinetuneInputs
    params: Params
    places: Places
    store: Store

    @property
    def name(self) -> str:
        return f"{self.places.benchmark}, {self.task.name} ({self.start})"

    @property
    def _out(self) -> str:
        return str(self.places.predictor(self.task.name, self.start))

    def refuse_others(self) -> None:
        """Refuse to replace what somebody else made.

        Raises:
            ArtifactError: A predictor of other seeds or parameters is there, or one of its members.
        """
        if self._found() is None:
            for out, params in self._members().items():
                self.store.find(finetune.recipe_of(params, self.sources, self.store), out)

    def run(self) -> None:
        """Train all seeds, and judge them."""
        _LOGGER.info("%s: fine-tuning", self.name)
        predictor = self._found() or self._train()
        judged = evaluate.EvaluateInputs(predictor.uri, self.sources.dataset)
        evaluate.run(self.params, judged, str(self.places.report(self.task.name, self.start)), self.store)

    def _found(self) -> ArtifactRef | None:
        return self.store.find(finetune.recipe_of(self.params, self.sources, self.store), self._out)

    def _train(self) -> ArtifactRef:
        """The predictor of all seeds; each training stays an artifact, which knows how long it took."""
        members = self._members()
        if not members:
            return finetune.run(self.params, self.sources, self._out, self.store)
        trained = [finetune.run(params, self.sources, out, self.store).uri for out, params in members.items()]
        return ensemble.run(trained, self._out, self.store)

    def _members(self) -> dict[str, Params]:
        """Of an ensemble where each training goes, and its parameters."""
        trainings = finetune.members(self.params, self.sources.dataset, self.store)
        return {
            str(self.places.member(self.task.name, self.start, name)): params
            for name, params in trainings.items()
            if name
        }


def _network_of(model: str, store: Store) -> list[str]:
    """The size of a pretrained network, as assignments: from scratch it is to be the same."""
    config = json.loads((store.fetch(model, "model").path / CONFIG).read_text(encoding="utf-8"))
    return [f"model.{key}={json.dumps(config[key])}" for key in _NETWORK]


def _as_assignments(params: Params) -> list[str]:
    """The values that a file gives, each as `--set` would."""
    given = params.model_dump(mode="json", exclude_unset=True)
    return [
        f"{section}.{key}={json.dumps(value)}"
        for section, keys in given.items()
        for key, value in keys.items()
    ]
