"""Molecules for one pass over them: a list in memory, read from Parquet files piece by piece.

Where every molecule is visited once, a dataset's random access is not worth the copy that it makes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from unimol2_tasks.artifacts.schemas import MOLECULES, validate
from unimol2_tasks.datasets.parquet_tables import read_batches
from unimol2_tasks.datasets.records import MoleculeRecord, RecordBatch, arrow_schema, encode
from unimol2_tasks.datasets.shards import MOLECULES_FOLDER

_PIECE = 2048
"""Molecules that are in memory at a time: about 4 kB each with ten conformers, if they are drug-like."""


class Molecules(Protocol):
    """What a network can be run on: a `MoleculeDataset` or a `MoleculeList`."""

    @property
    def atoms(self) -> NDArray[np.integer]:
        """[n] heavy atoms per molecule."""

    @property
    def conformers(self) -> NDArray[np.integer]:
        """[n] stored conformers per molecule."""

    def record(self, index: int) -> MoleculeRecord:
        """The molecule at a place from 0 to n - 1."""


@dataclass(frozen=True)
class MoleculeList:
    """Molecules in memory.

    Attributes:
        records: n of them.
    """

    records: Sequence[MoleculeRecord]

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def atoms(self) -> NDArray[np.int64]:
        """[n] heavy atoms per molecule."""
        return np.array([len(record.tokens) for record in self.records], np.int64)

    @cached_property
    def conformers(self) -> NDArray[np.int64]:
        """[n] stored conformers per molecule."""
        return np.array([record.conformers for record in self.records], np.int64)

    def record(self, index: int) -> MoleculeRecord:
        """The molecule at a place from 0 to n - 1."""
        return self.records[index]


def molecule_file(stem: str) -> str:
    """Where a folder has the molecules of a part of it, such as `part-00000`."""
    return f"{MOLECULES_FOLDER}/{stem}.parquet"


def molecule_files(folder: Path) -> list[Path]:
    """The files with a folder's molecules in their order: a dataset's shards, or units of work."""
    return sorted((folder / MOLECULES_FOLDER).glob("*.parquet"))


def count_molecules(file: Path) -> int:
    """How many molecules a file holds."""
    rows: int = pq.read_metadata(file).num_rows
    return rows


def write_molecules(path: Path, records: Sequence[MoleculeRecord]) -> None:
    """Write molecules without labels in the columns of a shard."""
    rows = [encode(record, ()) for record in records]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(()))
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def read_molecules(path: Path) -> Iterator[MoleculeList]:
    """The molecules of a file, some thousands at a time, without their labels.

    Raises:
        ArtifactError: The file is missing, damaged or breaks the schema of molecules.
    """
    schema = arrow_schema(())
    for batch in read_batches(path, _PIECE):
        table = pa.Table.from_batches([batch])
        validate(pl.DataFrame(table), MOLECULES, str(path))
        decoded = RecordBatch(table.select(schema.names).cast(schema).to_batches()[0], ())
        yield MoleculeList([decoded.record(place) for place in range(batch.num_rows)])
