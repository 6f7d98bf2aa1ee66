"""Definitions of benchmarks: what they name exists, and what they say is accepted."""

from pathlib import Path

import polars as pl
import pytest

from unimol2_tasks.datasets.benchmark_tables import ID_COLUMN, SMILES_COLUMN, write_table
from unimol2_tasks.datasets.benchmarks import (
    SPLIT_COLUMN,
    Benchmark,
    MoleculeTable,
    assignments,
    benchmarks,
    find_benchmark,
)
from unimol2_tasks.datasets.source_files import local_files
from unimol2_tasks.errors import UserError
from unimol2_tasks.evaluation.published import published_tables
from unimol2_tasks.params import load_params

# Whose files lie in shared/data.
REAL = ("qm9-3000", "compas-1d", "biogen-adme", "lipophilicity", "bbbp", "bace", "hiv")


@pytest.mark.parametrize("benchmark", benchmarks(), ids=lambda benchmark: benchmark.name)
def test_every_name_leads_somewhere(benchmark: Benchmark) -> None:
    assert find_benchmark(benchmark.name.upper()) == benchmark
    for table in benchmark.tables.values():
        files = {file.filename for file in table.source.extras}
        if table.lists is not None:
            assert {table.lists.train, table.lists.test} <= files
    columns = [column for task in benchmark.tasks for column in task.columns]
    assert len(set(columns)) == len(columns)
    tasks = [task.name for task in benchmark.tasks]
    assert len(set(tasks)) == len(tasks)
    assert not set(tasks) & {"tables", "datasets"}


@pytest.mark.parametrize("benchmark", benchmarks(), ids=lambda benchmark: benchmark.name)
def test_the_parameters_that_it_sets_exist(benchmark: Benchmark, tmp_path: Path) -> None:
    empty = tmp_path / "params.yaml"
    empty.write_text("")
    for task in benchmark.tasks:
        table = benchmark.tables[task.table]
        params = load_params(empty, assignments(table, task))
        assert params.finetune.targets == task.labels
        units = {target.name: target.unit for target in table.source.targets if target.name in task.labels}
        assert params.evaluate.units == {label: unit for label, unit in units.items() if unit}
        assert params.finetune.seeds == (0, 1, 2)
        assert params.prepare.split == (
            "column" if table.lists else table.prepare.get("split", table.source.split)
        )


@pytest.mark.parametrize("benchmark", benchmarks(), ids=lambda benchmark: benchmark.name)
def test_classes_are_learnt_as_classes_whatever_duplicates_say(benchmark: Benchmark, tmp_path: Path) -> None:
    empty = tmp_path / "params.yaml"
    empty.write_text("")
    for task in benchmark.tasks:
        params = load_params(empty, assignments(benchmark.tables[task.table], task))
        of_classes = task.metric == "roc_auc"
        assert params.finetune.task == dict.fromkeys(task.labels, "binary" if of_classes else "regression")
        assert params.finetune.best_by == ("roc_auc" if of_classes else "loss")
        assert params.prepare.duplicate_labels == ("drop-conflicting" if of_classes else "mean")


def test_published_tables_have_the_columns_of_their_benchmark() -> None:
    for table in published_tables():
        benchmark = find_benchmark(table.benchmark)
        columns = {(name, task.metric) for task in benchmark.tasks for name in task.columns}
        assert {(column.target, table.metric) for column in table.columns} <= columns
        labels = {name: of for task in benchmark.tasks for name, of in task.columns.items()}
        assert all(column.labels == labels[column.target] for column in table.columns)
        if table.methods:
            assert {column.target for column in table.columns} == {name for name, _ in columns}


def test_units_of_published_columns_are_those_of_the_labels() -> None:
    for published in published_tables():
        benchmark = find_benchmark(published.benchmark)
        units = {name: benchmark.unit(task, name) for task in benchmark.tasks for name in task.columns}
        assert {column.target: column.unit for column in published.columns}.items() <= units.items()


def test_a_misspelt_benchmark_gets_its_neighbour() -> None:
    with pytest.raises(UserError, match=r"'compas'.*compas-1d"):
        find_benchmark("compas")


def test_a_single_task_of_a_benchmark_can_be_named() -> None:
    whole, one = find_benchmark("biogen-adme"), find_benchmark("Biogen-ADME/hlm")
    assert [task.name for task in one.tasks] == ["hlm"]
    assert one.model_copy(update={"tasks": whole.tasks}) == whole
    with pytest.raises(UserError, match="biogen-adme has no task 'rlm'; there are hlm, mdr1, solubility"):
        find_benchmark("biogen-adme/rlm")


def written(table: MoleculeTable, shared_dir: Path, folder: Path, subset: int | None) -> pl.DataFrame:
    names = frozenset() if table.lists is None else frozenset({table.lists.train, table.lists.test})
    files = local_files(table.source, shared_dir / "data", names, folder)
    made = write_table(table, files, subset, folder / "table")
    rejects = pl.read_csv(made.path.with_suffix(".rejects.csv"))
    assert made.rows.rows_in == made.rows.out + made.rows.rejects
    assert rejects.height == made.rows.rejects
    assert made.source_rows >= made.rows.rows_in
    if made.path.suffix == ".csv":
        rows = pl.read_csv(made.path, infer_schema=False)
        assert rows.height == made.rows.out
        return rows
    text = made.path.read_text()
    assert text.count("$$$$") == made.rows.out
    return pl.DataFrame({ID_COLUMN: [block.split()[0] for block in text.split("$$$$\n") if block]})


@pytest.mark.parametrize("name", REAL)
def test_the_real_files_have_what_is_learned(shared_dir: Path, tmp_path: Path, name: str) -> None:
    benchmark = find_benchmark(name)
    subset = 100 if name == "qm9-3000" else None
    for key, table in benchmark.tables.items():
        rows = written(table, shared_dir, tmp_path, subset)
        assert rows[ID_COLUMN].is_unique().all()
        if name == "qm9-3000":
            assert rows.height == 100
            continue
        labels = {label for task in benchmark.tasks if task.table == key for label in task.labels}
        assert {ID_COLUMN, SMILES_COLUMN, *labels} <= set(rows.columns)
        for label in labels:
            assert rows[label].cast(pl.Float64).is_not_null().any(), label


def test_the_published_lists_stay_what_they_are(shared_dir: Path, tmp_path: Path) -> None:
    table = find_benchmark("biogen-adme").tables["hlm"]
    rows = written(table, shared_dir, tmp_path, None)
    assert dict(rows.group_by(SPLIT_COLUMN).len().iter_rows()) == {"train": 2222, "valid": 247, "test": 618}
    listed = rows[ID_COLUMN].str.split("-").list.first()
    assert (listed == "test").to_list() == (rows[SPLIT_COLUMN] == "test").to_list()


def test_a_molecule_that_both_lists_have_is_left_out_of_training(shared_dir: Path, tmp_path: Path) -> None:
    table = find_benchmark("biogen-adme").tables["mdr1"]
    rows = written(table, shared_dir, tmp_path, None)
    assert "train-671" not in rows[ID_COLUMN]
    assert "test-508" in rows[ID_COLUMN]
    assert "another tautomer" in (tmp_path / "table.rejects.csv").read_text()


def test_a_subset_is_the_same_each_time_and_lies_in_a_larger_one(shared_dir: Path, tmp_path: Path) -> None:
    table = find_benchmark("lipophilicity").tables["lipophilicity"]
    small, large = (set(written(table, shared_dir, tmp_path, count)[ID_COLUMN]) for count in (50, 200))
    assert (len(small), len(large)) == (50, 200)
    assert small < large
    assert set(written(table, shared_dir, tmp_path, 50)[ID_COLUMN]) == small
