"""Shards as uncompressed Arrow files, which can be mapped into memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from unimol2_tasks.artifacts.schemas import LABEL_PREFIX, MOLECULES, validate
from unimol2_tasks.datasets.parquet_tables import column_names, read_batches
from unimol2_tasks.datasets.records import arrow_schema
from unimol2_tasks.datasets.row_groups import ROW_GROUP, RowBuffer
from unimol2_tasks.errors import ArtifactError

# Few batches per file, so that a process can keep track of those of 10⁷ molecules; small enough to be made
# in little memory.
_BATCH_BYTES = 64 * 2**20


def open_arrow(path: Path) -> pa.ipc.RecordBatchFileReader:
    """An Arrow file, mapped into memory."""
    # Arrow's threads do not outlive a fork, and the processes of a loader are forks.
    return pa.ipc.open_file(pa.memory_map(str(path)), options=pa.ipc.IpcReadOptions(use_threads=False))


def label_names(shard: Path) -> tuple[str, ...]:
    """The labels of a Parquet shard."""
    return tuple(
        name.removeprefix(LABEL_PREFIX) for name in column_names(shard) if name.startswith(LABEL_PREFIX)
    )


def convert_shard(
    shard: Path, target: Path, labels: tuple[str, ...], atoms: NDArray[np.integer[Any]]
) -> None:
    """Write a Parquet shard as an Arrow file.

    Args:
        shard: The Parquet file; it is validated on the way.
        target: The Arrow file, uncompressed.
        labels: The dataset's labels.
        atoms: What the index says of the molecules' sizes.

    Raises:
        ArtifactError: The shard is missing, damaged, of another version or not what the index says.
    """
    schema = arrow_schema(labels)
    found = []
    with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in _in_large_batches(_checked_tables(shard, schema)):
            found.append(batch["atoms"].to_numpy())
            writer.write_batch(batch)
    rows = sum(map(len, found))
    if rows != len(atoms):
        raise ArtifactError(f"{shard}: {rows} molecules, the index lists {len(atoms)}; make the dataset anew")
    if not np.array_equal(np.concatenate(found), atoms):
        raise ArtifactError(f"{shard}: sizes of molecules differ from the index; make the dataset anew")


def _checked_tables(shard: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """A shard's molecules in the order of columns and the types that they are decoded from."""
    for batch in read_batches(shard, ROW_GROUP):
        table = pa.Table.from_batches([batch])
        validate(pl.DataFrame(table), MOLECULES, str(shard))
        if set(table.schema.names) != set(schema.names):
            raise ArtifactError(f"{shard}: other labels than in the first shard; make the dataset anew")
        yield table.select(schema.names).cast(schema)


def _in_large_batches(tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    buffer = RowBuffer()
    size = 0
    for table in tables:
        if buffer.rows and size + table.nbytes > _BATCH_BYTES:
            yield from buffer.take(buffer.rows).to_batches()
            size = 0
        buffer.put(table)
        size += table.nbytes
    if buffer.rows:
        yield from buffer.take(buffer.rows).to_batches()


def batch_lengths(path: Path) -> tuple[int, ...]:
    """Molecules of each record batch of an Arrow file."""
    reader = open_arrow(path)
    return tuple(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
