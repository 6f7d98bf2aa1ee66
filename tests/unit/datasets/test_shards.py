"""What a dataset's files look like."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unimol2_tasks.artifacts.manifest import sha256_of
from unimol2_tasks.datasets.records import MoleculeRecord, arrow_schema, encode
from unimol2_tasks.datasets.shards import ShardWriter, write_splits
from unimol2_tasks.errors import ArtifactError

LABELS = ("logS", "pIC50")


def _many(records: list[MoleculeRecord], rows: int) -> list[MoleculeRecord]:
    return [replace(records[row % len(records)], row=row + 1, id=str(row)) for row in range(rows)]


def _table(records: list[MoleculeRecord]) -> pa.Table:
    return pa.Table.from_pylist([encode(record, LABELS) for record in records], schema=arrow_schema(LABELS))


def _hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_of(path) for path in folder.rglob("*.parquet")}


def test_shards_hold_what_they_may_and_say_that_they_are_sorted(folder: Path) -> None:
    shards = [pq.read_metadata(path) for path in sorted((folder / "molecules").iterdir())]
    assert [shard.num_rows for shard in shards] == [2, 2, 1]
    assert all(shard.row_group(0).sorting_columns == (pq.SortingColumn(0),) for shard in shards)
    assert shards[0].schema.column(0).name == "row"


def test_row_groups_have_a_fixed_size(tmp_path: Path, records: list[MoleculeRecord]) -> None:
    with ShardWriter(tmp_path, 2500, LABELS) as shards:
        shards.write_table(_table(_many(records, 2600)))
    metadata = [pq.read_metadata(path) for path in sorted((tmp_path / "molecules").iterdir())]
    groups = [[shard.row_group(k).num_rows for k in range(shard.num_row_groups)] for shard in metadata]
    assert groups == [[1000, 1000, 500], [100]]


@pytest.mark.parametrize("lengths", [(1, 1199), (700, 1, 0, 499), (1200,), (400, 400, 400)])
def test_the_bytes_do_not_depend_on_how_molecules_came(
    tmp_path: Path, records: list[MoleculeRecord], lengths: tuple[int, ...]
) -> None:
    molecules = _many(records, 1200)
    with ShardWriter(tmp_path / "single", 1100, LABELS) as shards:
        for record in molecules:
            shards.write(record)
    with ShardWriter(tmp_path / "tables", 1100, LABELS) as shards:
        remaining = iter(molecules)
        for length in lengths:
            shards.write_table(_table([next(remaining) for _ in range(length)]))
    assert shards.rows == 1200
    assert _hashes(tmp_path / "single") == _hashes(tmp_path / "tables")


def test_single_molecules_and_tables_may_take_turns(tmp_path: Path, records: list[MoleculeRecord]) -> None:
    with ShardWriter(tmp_path, 3, LABELS) as shards:
        shards.write(records[0])
        shards.write_table(_table(records[1:3]))
        shards.write(records[3])
        shards.write(records[4])
    rows = [pq.read_table(path)["row"].to_pylist() for path in sorted((tmp_path / "molecules").iterdir())]
    assert rows == [[10, 20, 30], [40, 50]]


def test_the_index_says_where_molecules_are_and_how_large(folder: Path) -> None:
    index = pl.read_parquet(folder / "index.parquet")
    assert index["shard"].to_list() == [f"part-0000{number}.parquet" for number in (0, 0, 1, 1, 2)]
    assert index["row_in_shard"].to_list() == [0, 1, 0, 1, 0]
    assert index["atoms"].to_list() == [1, 3, 7, 2, 13]
    assert index["conformers"].to_list() == [
        pq.read_table(folder / "molecules" / shard)["conformers"][row].as_py()
        for shard, row in index.select("shard", "row_in_shard").iter_rows()
    ]


def test_scaffolds_are_listed_by_frequency(folder: Path) -> None:
    scaffolds = pl.read_parquet(folder / "scaffolds.parquet")
    assert scaffolds.rows() == [("", 3), ("c1ccccc1", 2)]
    assert pl.read_parquet(folder / "index.parquet")["scaffold"].to_list() == [0, 0, 1, 0, 1]


def test_equally_frequent_scaffolds_are_listed_by_text(tmp_path: Path, records: list[MoleculeRecord]) -> None:
    with ShardWriter(tmp_path, 10, LABELS) as shards:
        for record, scaffold in zip(records, ("N", "B", "C", "B", "N"), strict=True):
            shards.write(replace(record, scaffold=scaffold))
    assert pl.read_parquet(tmp_path / "scaffolds.parquet").rows() == [("B", 2), ("N", 2), ("C", 1)]
    assert pl.read_parquet(tmp_path / "index.parquet")["scaffold"].to_list() == [1, 0, 2, 0, 1]


@pytest.mark.parametrize("rows", [(10, 10), (20, 10)])
def test_molecules_out_of_order_are_refused(
    tmp_path: Path, records: list[MoleculeRecord], rows: tuple[int, int]
) -> None:
    molecules = _table([replace(records[0], row=row) for row in rows])
    with (
        pytest.raises(ValueError, match=rf"row {rows[1]} after {rows[0]}"),
        ShardWriter(tmp_path, 1, LABELS) as shards,
    ):
        shards.write_table(molecules)


def test_a_table_with_other_columns_is_refused(tmp_path: Path, records: list[MoleculeRecord]) -> None:
    with pytest.raises(ValueError, match="expected the columns"), ShardWriter(tmp_path, 1, ()) as shards:
        shards.write_table(_table(records))


@pytest.mark.parametrize("rows_per_shard", [1, 100])
def test_a_failed_writer_leaves_no_index(
    tmp_path: Path, records: list[MoleculeRecord], rows_per_shard: int
) -> None:
    with (
        pytest.raises(ArtifactError, match="inchikey"),
        ShardWriter(tmp_path, rows_per_shard, LABELS) as shards,
    ):
        shards.write(replace(records[0], inchikey="no key"))
    assert not (tmp_path / "index.parquet").exists()


def test_splits_and_folds_are_stored_in_dataset_order(tmp_path: Path) -> None:
    write_splits(tmp_path, pl.Series(["a", "b"]), ["test", "train"])
    assert pl.read_parquet(tmp_path / "splits.parquet").rows() == [
        (0, "a", "test", None),
        (1, "b", "train", None),
    ]
    write_splits(tmp_path, ["a", "b"], ["test", "train"], np.array([3, 0]).tolist())
    assert pl.read_parquet(tmp_path / "splits.parquet")["fold"].to_list() == [3, 0]


def test_a_split_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"splits\.parquet: column split"):
        write_splits(tmp_path, ["a"], ["holdout"])  # type: ignore[list-item]
