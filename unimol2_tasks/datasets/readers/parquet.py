"""Parquet files, a batch of rows at a time and only the columns that matter."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import IO, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from unimol2_tasks.artifacts.s3 import is_s3
from unimol2_tasks.datasets.readers.records import Record, TableFormat, Unreadable, damage, escape
from unimol2_tasks.datasets.readers.tablefile import TableFile
from unimol2_tasks.errors import TableError

_BATCH_ROWS = 1024
_READ_AHEAD = 1 << 20


class Parquet(TableFormat):
    """Text columns may hold SMILES or numbers; a null is a missing value."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def columns(self, file: TableFile) -> tuple[str, ...]:
        """The file's top-level fields."""
        with _opened(file) as parquet:
            return tuple(parquet.schema_arrow.names)

    def records(self, file: TableFile, names: Collection[str] | None) -> Iterator[Record | Unreadable]:
        """Every row; what is gzipped as a whole is unpacked to a temporary file first."""
        with _opened(file) as parquet:
            wanted = None if names is None else [name for name in parquet.schema_arrow.names if name in names]
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=wanted):
                yield from _records(batch)


@contextmanager
def _opened(file: TableFile) -> Iterator[Any]:
    with _seekable(file) as stream:
        try:
            yield _parquet(stream)
        except (pa.ArrowInvalid, OSError) as error:
            # Arrow's own complaints about a file's content have no number, those of a disk or server have.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise TableError(f"{file.uri}: no Parquet file, or a damaged one: {error}") from None


@contextmanager
def _seekable(file: TableFile) -> Iterator[IO[bytes]]:
    # A gzip stream cannot be read from its end, where Parquet keeps its schema.
    if is_s3(file.uri) and not file.packed:
        with file.binary() as stream:
            yield stream
    else:
        with file.local() as path, path.open("rb") as stream:
            yield stream


def _parquet(stream: Any) -> Any:
    # Otherwise whole column chunks are fetched ahead: hundreds of MB where row groups are large.
    return pq.ParquetFile(stream, pre_buffer=False, buffer_size=_READ_AHEAD)


def _records(batch: pa.RecordBatch) -> Iterator[Record | Unreadable]:
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        yield from _damaged_records(batch)
        return
    for row in rows:
        yield Record(row)


def _damaged_records(batch: pa.RecordBatch) -> Iterator[Record | Unreadable]:
    """The rows of a batch in which some text is not UTF-8; Arrow does not check what it reads."""
    columns = [_lenient(column) for column in batch.columns]
    for cells in zip(*columns, strict=True):
        text = next((cell for cell in cells if isinstance(cell, str) and damage(cell)), None)
        if text is None:
            yield Record(dict(zip(batch.schema.names, cells, strict=True)))
        else:
            yield Unreadable(escape(text), damage(text) or "")


def _lenient(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return list(column.to_pylist())
    values = column.cast(pa.large_binary()).to_pylist()
    return [value if value is None else value.decode("utf-8", "surrogateescape") for value in values]
