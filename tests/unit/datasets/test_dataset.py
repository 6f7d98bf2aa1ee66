"""Datasets as training reads them."""

import math
import pickle
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.errors import ArtifactError


def _arrays(record: MoleculeRecord) -> dict[str, np.ndarray]:
    graph = {field.name: getattr(record.graph, field.name) for field in fields(record.graph)}
    names = ("positions", "energies", "flat_positions", "atom_map")
    return graph | {name: getattr(record, name) for name in names}


def _assert_same(one: MoleculeRecord, other: MoleculeRecord) -> None:
    for name in ("smiles", "inchikey", "scaffold", "method", "row", "id", "labels"):
        assert getattr(one, name) == getattr(other, name)
    for name, array in _arrays(one).items():
        np.testing.assert_array_equal(array, _arrays(other)[name], err_msg=name)


def test_every_molecule_comes_back_as_it_was(folder: Path, records: list[MoleculeRecord]) -> None:
    dataset = open_dataset(folder)
    assert len(dataset) == len(records)
    # Backwards: in any order, not only in that of the files.
    for index in reversed(range(len(records))):
        _assert_same(dataset.record(index), records[index])


def test_what_the_network_gets_is_the_prepared_molecule(folder: Path, records: list[MoleculeRecord]) -> None:
    dataset = open_dataset(folder)
    for index, record in enumerate(records):
        for conformer, flat in ((0, False), (record.conformers - 1, False), (0, True)):
            ours, theirs = dataset.record(index).molecule(conformer, flat), record.molecule(conformer, flat)
            for field in fields(ours):
                np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))


def test_sizes_labels_names_splits_folds_and_scaffolds(folder: Path, records: list[MoleculeRecord]) -> None:
    dataset = open_dataset(folder)
    assert dataset.atoms.tolist() == [1, 3, 7, 2, 13]
    assert dataset.conformers.tolist() == [record.conformers for record in records]
    assert dataset.label_names == ("logS", "pIC50")
    assert dataset.labels(0).tolist() == [0.25, 1.0]
    assert math.isnan(dataset.labels(1)[0])
    assert dataset.indices("train").tolist() == [0, 2, 4]
    assert dataset.indices("valid").tolist() == [3]
    assert dataset.folds.tolist() == [0, 1, -1, 2, 0]
    assert dataset.scaffold_codes.tolist() == [0, 0, 1, 0, 1]
    assert (dataset.id(4), dataset.smiles(1), dataset.scaffold(2)) == ("mol 5", "CCO", "c1ccccc1")


def test_no_molecule_outside_the_dataset(folder: Path) -> None:
    for index in (5, -1):
        with pytest.raises(IndexError, match="of a dataset of 5"):
            open_dataset(folder).record(index)


def test_a_dataset_travels_to_other_processes_as_a_path(folder: Path, records: list[MoleculeRecord]) -> None:
    dataset = open_dataset(folder)
    dataset.record(0)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 1000
    _assert_same(pickle.loads(pickled).record(4), records[4])  # noqa: S301


def test_stored_molecules_cannot_be_written_to(folder: Path) -> None:
    record = open_dataset(folder).record(1)
    assert not any(array.flags.writeable for array in _arrays(record).values())


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def _with_column(name: str, values: Any) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.get_field_index(name), name, values(table))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["tokens"]), "column_in_dataframe: tokens"),
        (lambda table: table.append_column("extra", [[1, 2]]), "column_in_schema: extra"),
        (_with_column("atoms", lambda table: pa.array(["1", "3"])), "column atoms"),
        (
            _with_column("positions", lambda table: pa.array([b"1", b"2"])),
            "size of positions fails for 2 of 2",
        ),
        (lambda table: table.slice(0, 1), "1 molecules, the index lists 2"),
        (lambda table: table.slice(0, 0), "0 molecules, the index lists 2"),
        (lambda table: table.take([1, 0]), "sizes of molecules differ from the index"),
    ],
)
def test_a_wrong_shard_is_named(folder: Path, change: Callable[[pa.Table], pa.Table], message: str) -> None:
    _rewrite(folder / "molecules" / "part-00000.parquet", change)
    with pytest.raises(ArtifactError, match=rf"part-00000\.parquet: .*{message}"):
        open_dataset(folder)


def test_a_shard_with_other_labels_than_the_first_is_named(folder: Path) -> None:
    _rewrite(folder / "molecules" / "part-00001.parquet", lambda table: table.drop_columns(["label:logS"]))
    with pytest.raises(ArtifactError, match=r"part-00001\.parquet: other labels"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("index", lambda table: table.take([1, 0, 2, 3, 4]), "does not count the rows"),
        ("index", _with_column("row_in_shard", lambda _: pa.array([0, 0, 0, 1, 0], pa.uint32())), "row 1"),
        ("index", lambda table: table.slice(0, 0), "no molecules"),
        ("splits", lambda table: table.slice(0, 4), "4 rows, the index has 5"),
        ("scaffolds", lambda table: table.slice(0, 1), r"1 rows, the index names row 1"),
        ("splits", lambda table: table.drop_columns(["fold"]), "fold"),
    ],
)
def test_tables_that_contradict_each_other_are_named(
    folder: Path, name: str, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    _rewrite(folder / f"{name}.parquet", change)
    with pytest.raises(ArtifactError, match=rf"{name}\.parquet: .*{message}"):
        open_dataset(folder)


def test_a_truncated_shard_is_named(folder: Path) -> None:
    path = folder / "molecules" / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"part-00001\.parquet: damaged"):
        open_dataset(folder)


def test_a_flipped_byte_is_noticed_even_without_a_manifest(folder: Path) -> None:
    path = folder / "molecules" / "part-00000.parquet"
    column = pq.read_metadata(path).row_group(0).column(13)
    assert column.path_in_schema == "path_lengths"
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"part-00000\.parquet: damaged"):
        open_dataset(folder)


@pytest.mark.parametrize(
    "name", ["molecules/part-00002.parquet", "index.parquet", "splits.parquet", "scaffolds.parquet"]
)
def test_a_missing_file_is_named(folder: Path, published: ArtifactRef, name: str) -> None:
    for dataset in (folder, Path(published.uri)):
        open_dataset(dataset)
        (dataset / name).unlink()
        with pytest.raises(ArtifactError, match=f"{name}: missing"):
            open_dataset(dataset)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no dataset there"):
        open_dataset(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
