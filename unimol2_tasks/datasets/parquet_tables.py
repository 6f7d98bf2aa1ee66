"""A dataset's Parquet files, read in pieces and checked."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pandera.polars import DataFrameSchema

from unimol2_tasks.artifacts.schemas import INDEX, SCAFFOLDS, SPLIT_NAMES, SPLITS, validate
from unimol2_tasks.datasets.index import INDEX_FILE, SCAFFOLDS_FILE, shard_name
from unimol2_tasks.datasets.shards import SPLITS_FILE
from unimol2_tasks.errors import ArtifactError

_CHUNK = 2**18
_NO_FOLD = -1
# The numbers of split and shard are kept instead of their names: a name takes as much as all the rest.
_INDEX_COLUMNS = (
    pl.col("shard").str.extract(r"(\d+)").cast(pl.UInt32),
    "row_in_shard",
    "atoms",
    "conformers",
    "scaffold",
)
_SPLIT_COLUMNS = (
    pl.col("split").replace_strict(SPLIT_NAMES, range(len(SPLIT_NAMES)), return_dtype=pl.UInt8),
    pl.col("fold").cast(pl.Int16).fill_null(_NO_FOLD),
)


@dataclass(frozen=True, slots=True)
class DatasetIndex:
    """What the index and the splits say of n molecules."""

    shards: tuple[tuple[str, int], ...]
    """Name and number of molecules of each shard, in order."""
    columns: Mapping[str, NDArray[np.integer[Any]]]
    """[n] each: `atoms`, `conformers`, `scaffold` (place in the table of scaffolds), `split` (place in
    `SPLIT_NAMES`) and `fold` (-1 where there is none)."""


def read_index(folder: Path) -> DatasetIndex:
    """Read the index and the splits of a dataset.

    Raises:
        ArtifactError: A file is missing, damaged or of another version, or they contradict each other.
    """
    index = _read_columns(folder / INDEX_FILE, INDEX, _INDEX_COLUMNS)
    splits = _read_columns(folder / SPLITS_FILE, SPLITS, _SPLIT_COLUMNS)
    if index.height != splits.height:
        raise ArtifactError(f"{folder / SPLITS_FILE}: {splits.height} rows, the index has {index.height}")
    scaffolds = sum(frame.height for frame in _frames(folder / SCAFFOLDS_FILE, SCAFFOLDS))
    largest = index["scaffold"].to_numpy().max()
    if largest >= scaffolds:
        raise ArtifactError(
            f"{folder / SCAFFOLDS_FILE}: {scaffolds} rows, the index names row {largest} (from 0)"
        )
    columns = [*index.drop("shard", "row_in_shard"), *splits]
    return DatasetIndex(_shards(index, folder / INDEX_FILE), {one.name: one.to_numpy() for one in columns})


def column_names(path: Path) -> list[str]:
    """The columns of a Parquet file.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    with _parquet(path) as file:
        names: list[str] = file.schema_arrow.names
        return names


def read_batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, at most `rows` at a time.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    with _parquet(path) as file:
        yield from file.iter_batches(batch_size=rows)


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing; this is no complete dataset") from None
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path}: damaged: {error}; make or download the dataset again") from None


def _frames(path: Path, schema: DataFrameSchema) -> Iterator[pl.DataFrame]:
    for batch in read_batches(path, _CHUNK):
        yield validate(pl.DataFrame(pa.Table.from_batches([batch])), schema, str(path))


def _read_columns(path: Path, schema: DataFrameSchema, columns: Iterable[pl.Expr | str]) -> pl.DataFrame:
    """Columns of a table whose column `index` must count its rows from 0."""
    pieces: list[pl.DataFrame] = []
    rows = 0
    for frame in _frames(path, schema):
        if not np.array_equal(frame["index"].to_numpy(), np.arange(rows, rows + frame.height)):
            raise ArtifactError(f"{path}: column index does not count the rows from 0; make the dataset anew")
        rows += frame.height
        pieces.append(frame.select(columns))
    if not rows:
        raise ArtifactError(f"{path}: no molecules")
    return pl.concat(pieces)


def _shards(index: pl.DataFrame, path: Path) -> tuple[tuple[str, int], ...]:
    """Name and length of each shard; the index must list shard by shard, row by row."""
    numbers, rows = index["shard"].to_numpy(), index["row_in_shard"].to_numpy()
    starts = np.flatnonzero(np.diff(numbers, prepend=np.uint32(0)))
    starts = np.union1d([0], starts)
    lengths = np.diff(starts, append=len(numbers))
    expected = np.arange(len(rows)) - np.repeat(starts, lengths)
    if not np.array_equal(rows, expected):
        place = int(np.argmax(rows != expected))
        raise ArtifactError(
            f"{path}: row {place} (from 0) is at {rows[place]} in {shard_name(int(numbers[place]))}, "
            f"expected {expected[place]}; make the dataset anew"
        )
    return tuple(
        (shard_name(int(numbers[start])), int(length)) for start, length in zip(starts, lengths, strict=True)
    )
