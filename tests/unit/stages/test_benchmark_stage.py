"""Tables, datasets and predictors of a benchmark below one folder: none is spoilt by another run."""

import hashlib
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from unimol2_tasks.artifacts.manifest import ArtifactRef, Kind
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.datasets import benchmarks as definitions
from unimol2_tasks.datasets.benchmarks import Benchmark
from unimol2_tasks.datasets.catalogue import PublicDataset, find_dataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.stages import benchmark as stage
from unimol2_tasks.stages import finetune, prepare
from unimol2_tasks.stages.benchmarking.places import Places


@pytest.fixture
def benchmark(tiny_table: Path, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    """One of 40 molecules."""
    content = tiny_table.read_bytes()
    file = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    dataset = PublicDataset.model_validate(
        {
            "name": "tiny", "title": "molecules", "source": "here", "licence": "CC0", "doi": "10.0/0",
            "rows": 40, "smiles_column": "smiles", "id_column": "name",
            "split": "random", "split_source": "here", "targets": [{"name": "weight", "unit": "Da"}],
            "table": {"urls": ["https://example.org/molecules.csv"], **file},
        }
    )  # fmt: skip
    monkeypatch.setattr(
        definitions, "find_dataset", lambda name: dataset if name == "tiny" else find_dataset(name)
    )
    task = {"name": "mass", "table": "all", "metric": "mae", "columns": {"mass": ["weight"]}}
    return Benchmark.model_validate(
        {"name": "tiny", "title": "tiny", "tables": {"all": {"dataset": "tiny"}}, "tasks": [task]}
    )


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "runs", "tiny")


def publish(kind: Kind, out: str) -> ArtifactRef:
    store = Store()
    found = store.find(Recipe(kind, {}), out)
    if found is not None:
        return found
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with store.draft(out) as draft:
        return store.publish(draft, out, Recipe(kind, {}))


def prepared(_params: object, _inputs: object, out: str, _store: Store) -> ArtifactRef:
    """Stands for a preparation of minutes."""
    return publish("dataset", out)


def run(benchmark: Benchmark, places: Places, data: Path, subset: int | None, *changes: str) -> None:
    inputs = stage.BenchmarkInputs(None, scratch=True, data=data, subset=subset)
    stage.run(benchmark, inputs, stage.Overrides(None, changes), places.out)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal has to come before hours of training."""

    def train(*_: object) -> None:
        raise AssertionError("trains for hours")

    monkeypatch.setattr(finetune, "run", train)


def after_another_task(benchmark: Benchmark) -> Benchmark:
    """With one before its own, of the same molecules."""
    first = benchmark.tasks[0].model_copy(update={"name": "first"})
    return benchmark.model_copy(update={"tasks": (first, *benchmark.tasks)})


def test_a_table_is_not_written_anew_while_it_is_prepared(
    benchmark: Benchmark, places: Places, tiny_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        assert places.table("all").with_suffix(".csv").is_file()
        with pytest.raises(Timeout):
            FileLock(places.tables / ".lock", timeout=0).acquire()
        raise UserError("has read it")

    monkeypatch.setattr(prepare, "run", read)
    with pytest.raises(UserError, match="has read it"):
        run(benchmark, places, tiny_table.parent, None)
    with FileLock(places.tables / ".lock", timeout=0):
        pass


def test_another_choice_of_rows_is_refused_and_the_table_stays_that_of_the_dataset(
    benchmark: Benchmark, places: Places, tiny_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "run", prepared)
    monkeypatch.setattr(stage._Training, "refuse_others", lambda _: None)
    monkeypatch.setattr(stage._Training, "run", lambda _: None)
    run(benchmark, places, tiny_table.parent, 20)
    table = places.table("all").with_suffix(".csv")
    before = table.read_bytes()
    for other in (10, None):
        with pytest.raises(UserError, match=r"tiny: was made with --subset 20; .* another --out"):
            run(benchmark, places, tiny_table.parent, other)
    assert table.read_bytes() == before
    run(benchmark, places, tiny_table.parent, 20)


def test_a_subset_of_all_rows_is_the_whole_table(
    benchmark: Benchmark, places: Places, tiny_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "run", prepared)
    monkeypatch.setattr(stage._Training, "refuse_others", lambda _: None)
    monkeypatch.setattr(stage._Training, "run", lambda _: None)
    run(benchmark, places, tiny_table.parent, None)
    run(benchmark, places, tiny_table.parent, 1000)
    with pytest.raises(UserError, match="was made with --subset 1000"):
        run(benchmark, places, tiny_table.parent, 39)


@pytest.mark.usefixtures("untrained")
def test_other_seeds_than_those_of_the_predictor_are_refused_before_one_is_trained(
    benchmark: Benchmark, places: Places, tiny_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "run", prepared)
    publish("predictor", str(places.predictor("mass", "scratch")))
    with pytest.raises(UserError, match="holds a predictor made from other inputs, parameters or code"):
        run(benchmark, places, tiny_table.parent, None, "finetune.seeds=[0,3]")


@pytest.mark.usefixtures("untrained")
def test_a_predictor_of_other_seeds_is_refused_before_another_task_trains(
    benchmark: Benchmark, places: Places, tiny_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "run", prepared)
    publish("predictor", str(places.predictor("mass", "scratch")))
    with pytest.raises(UserError, match="mass/scratch: holds a predictor made from other inputs"):
        run(after_another_task(benchmark), places, tiny_table.parent, None)


@pytest.mark.usefixtures("untrained")
def test_members_of_other_parameters_are_refused_before_another_start_trains(
    benchmark: Benchmark, places: Places, tiny_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a training that was killed before its seeds were joined."""

    monkeypatch.setattr(prepare, "run", prepared)
    publish("predictor", str(places.member("mass", "scratch", "seed-1")))
    with pytest.raises(UserError, match="seed-1: holds a predictor made from other inputs"):
        run(after_another_task(benchmark), places, tiny_table.parent, None)


@pytest.mark.usefixtures("untrained")
def test_a_dataset_of_other_parameters_is_refused_before_other_tables_train(
    benchmark: Benchmark, places: Places, tiny_table: Path
) -> None:
    tables = {"all": benchmark.tables["all"], "other": benchmark.tables["all"]}
    task = benchmark.tasks[0].model_copy(update={"name": "other", "table": "other"})
    both = benchmark.model_copy(update={"tables": tables, "tasks": (*benchmark.tasks, task)})
    publish("dataset", str(places.dataset("other")))
    with pytest.raises(UserError, match="other: holds a dataset made from other inputs"):
        run(both, places, tiny_table.parent, 5)
