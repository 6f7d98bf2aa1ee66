"""Datasets on disk: Parquet shards of molecules in the order of their source rows, an index and splits."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from unimol2_tasks.artifacts.schemas import MOLECULES, SPLITS, validate
from unimol2_tasks.chemistry.splits import Split
from unimol2_tasks.datasets.index import IndexWriter, shard_name
from unimol2_tasks.datasets.records import MoleculeRecord, arrow_schema, encode
from unimol2_tasks.datasets.row_groups import ROW_GROUP, RowBuffer

__all__ = ["MOLECULES_FOLDER", "SPLITS_FILE", "MoleculeRecord", "ShardWriter", "write_splits"]

MOLECULES_FOLDER = "molecules"
SPLITS_FILE = "splits.parquet"

_SPLITS_SCHEMA = pa.schema(
    [("index", pa.uint64()), ("id", pa.string()), ("split", pa.string()), ("fold", pa.uint8())]
)


class ShardWriter:
    """Writes molecules in the order of their source rows; the index when it is closed without an error.

    The files depend on the molecules alone, not on whether they came one by one or in tables of any length.
    In memory are the molecules of one row group, a few bytes per molecule for the index, and every scaffold
    once.

    Attributes:
        rows: How many molecules were given.
    """

    def __init__(self, folder: Path, rows_per_shard: int, label_names: Sequence[str]) -> None:
        """Write into `folder`, at most `rows_per_shard` molecules per file."""
        self.rows = 0
        self._folder = folder
        self._rows_per_shard = rows_per_shard
        self._label_names = tuple(label_names)
        self._schema = arrow_schema(label_names)
        self._records: list[dict[str, Any]] = []
        self._buffer = RowBuffer()
        self._index = IndexWriter()
        self._last_row = 0
        self._shard: pq.ParquetWriter | None = None
        (folder / MOLECULES_FOLDER).mkdir(parents=True, exist_ok=True)

    def write(self, record: MoleculeRecord) -> None:
        """Append one molecule.

        Raises:
            ValueError: It does not come after the one before in the source.
            ArtifactError: It breaks the schema of molecules.
        """
        self._records.append(encode(record, self._label_names))
        self.rows += 1
        if len(self._records) == min(ROW_GROUP, self._rows_per_shard):
            self._buffer_records()
            self._write_row_groups()

    def write_table(self, table: pa.Table) -> None:
        """Append molecules that are encoded already, in the schema of a shard.

        Raises:
            ValueError: The columns are not those of `arrow_schema`, or rows are not in the source's order.
            ArtifactError: A row breaks the schema of molecules.
        """
        if not table.schema.equals(self._schema):
            raise ValueError(f"expected the columns {self._schema.names}, got {table.schema.names}")
        self._buffer_records()
        self._buffer.put(table)
        self.rows += table.num_rows
        self._write_row_groups()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._buffer_records()
                self._write_row_groups()
                if self._buffer.rows:
                    self._write_row_group(self._buffer.take(self._buffer.rows))
        finally:
            self._close_shard()
        if kind is None:
            self._index.write(self._folder, self._rows_per_shard)

    def _buffer_records(self) -> None:
        if self._records:
            self._buffer.put(pa.Table.from_pylist(self._records, schema=self._schema))
            self._records.clear()

    def _write_row_groups(self) -> None:
        """Write what fills a row group or the rest of a shard."""
        while self._buffer.rows >= (rows := self._next_group()):
            self._write_row_group(self._buffer.take(rows))

    def _next_group(self) -> int:
        return min(ROW_GROUP, self._rows_per_shard - self._index.rows % self._rows_per_shard)

    def _write_row_group(self, group: pa.Table) -> None:
        name = f"{MOLECULES_FOLDER}/{shard_name(self._index.rows // self._rows_per_shard)}"
        validate(pl.DataFrame(group), MOLECULES, name)
        self._check_order(group["row"].to_numpy().astype(np.int64))
        if self._shard is None:
            self._shard = pq.ParquetWriter(
                self._folder / name,
                self._schema,
                compression="zstd",
                use_dictionary=["scaffold", "method"],
                sorting_columns=[pq.SortingColumn(self._schema.get_field_index("row"))],
                # Without them Parquet gives a flipped byte of a coordinate to whoever reads it.
                write_page_checksum=True,
            )
        self._shard.write_table(group)
        self._index.add(group)
        if self._index.rows % self._rows_per_shard == 0:
            self._close_shard()

    def _check_order(self, rows: NDArray[np.int64]) -> None:
        steps = np.diff(rows, prepend=self._last_row)
        if (steps <= 0).any():
            place = int(np.argmax(steps <= 0))
            before = int(rows[place - 1]) if place else self._last_row
            raise ValueError(f"molecules come in the order of their source: row {rows[place]} after {before}")
        self._last_row = int(rows[-1])

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None


def write_splits(
    folder: Path,
    ids: Sequence[str] | pl.Series,
    splits: Sequence[Split] | pl.Series,
    folds: Sequence[int | None] | pl.Series | None = None,
) -> None:
    """Write which molecule belongs to which split, and to which fold if there are any, in dataset order.

    Raises:
        ArtifactError: A split has another name than train, valid and test.
    """
    columns = {"index": range(len(ids)), "id": ids, "split": splits, "fold": folds}
    schema = {"index": pl.UInt64, "id": pl.String, "split": pl.String, "fold": pl.UInt8}
    frame = validate(pl.DataFrame(columns, schema=schema), SPLITS, SPLITS_FILE)
    pq.write_table(frame.to_arrow().cast(_SPLITS_SCHEMA), folder / SPLITS_FILE, compression="zstd")
