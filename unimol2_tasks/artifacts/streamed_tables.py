"""Tables of any length as CSV or Parquet, written and read in pieces."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from unimol2_tasks.artifacts.spreadsheets import guarded, unguarded
from unimol2_tasks.errors import ArtifactError, UserError

SUFFIXES = (".csv", ".parquet")

_ARROW_TYPES: dict[type[pl.DataType], pa.DataType] = {
    pl.UInt64: pa.uint64(),
    pl.UInt32: pa.uint32(),
    pl.Int64: pa.int64(),
    pl.Float64: pa.float64(),
    pl.Float32: pa.float32(),
    pl.String: pa.string(),
}
_PIECE_ROWS = 4096
_PIECE_BYTES = 16 * 2**20


def refuse_other_suffixes(out: str) -> None:
    """Refuse a file of a format that cannot be written.

    Raises:
        UserError: It ends neither in `.csv` nor in `.parquet`.
    """
    if PurePosixPath(out).suffix not in SUFFIXES:
        raise UserError(f"--out {out}: expected a file that ends in {' or '.join(SUFFIXES)}")


def write_pieces(path: Path, columns: Mapping[str, pl.DataType], pieces: Iterable[pl.DataFrame]) -> None:
    """Write a table as it comes; also one without rows has its columns.

    In a CSV file, text that a spreadsheet would take for a formula gets an apostrophe in front, which
    `read_pieces` removes.

    Args:
        path: A `.csv` or `.parquet` file.
        columns: Names and types of the columns of every piece.
        pieces: Each is one row group of a Parquet file.
    """
    empty = pl.DataFrame(schema=dict(columns))
    if path.suffix == ".csv":
        with path.open("wb") as stream:
            empty.write_csv(stream)
            for piece in pieces:
                piece.with_columns(guarded(pl.col(pl.String))).write_csv(stream, include_header=False)
        return
    schema = _arrow_schema(columns)
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for piece in pieces:
            writer.write_table(piece.to_arrow().cast(schema))


def read_pieces(
    name: str,
    opened: Callable[[], IO[bytes]],
    types: Callable[[Sequence[str]], Mapping[str, pl.DataType]],
) -> Iterator[pl.DataFrame]:
    """Read a table of `write_pieces` some thousands of rows at a time; at least one piece, perhaps empty.

    Args:
        name: Its path or address, for its suffix and for messages.
        opened: Opens it; a CSV file is opened twice.
        types: Of the columns of a CSV file, by their names.

    Raises:
        ArtifactError: It is no such file, or a value has another type.
    """
    try:
        if PurePosixPath(name).suffix == ".csv":
            yield from _csv_pieces(opened, types)
        else:
            with opened() as stream:
                file = pq.ParquetFile(stream, page_checksum_verification=True)
                yield _frame(file.schema_arrow.empty_table())
                yield from map(_frame, map(_as_table, file.iter_batches(_PIECE_ROWS)))
    except pa.ArrowException as error:
        raise ArtifactError(f"{name}: cannot be read: {error}; it is damaged or no such table") from None


def _csv_pieces(
    opened: Callable[[], IO[bytes]], types: Callable[[Sequence[str]], Mapping[str, pl.DataType]]
) -> Iterator[pl.DataFrame]:
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    reading = pyarrow.csv.ReadOptions(block_size=_PIECE_BYTES, use_threads=False)
    with opened() as stream, pyarrow.csv.open_csv(stream, reading, parsing) as header:
        schema = _arrow_schema(types(header.schema.names))
    # Text as somebody wrote it: a molecule may be named NA.
    converting = pyarrow.csv.ConvertOptions(
        column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    with opened() as stream, pyarrow.csv.open_csv(stream, reading, parsing, converting) as pieces:
        yield _frame(schema.empty_table())
        for piece in map(_frame, map(_as_table, pieces)):
            yield piece.with_columns(unguarded(pl.col(pl.String)))


def _arrow_schema(columns: Mapping[str, pl.DataType]) -> pa.Schema:
    return pa.schema([(name, _ARROW_TYPES[type(kind)]) for name, kind in columns.items()])


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _frame(table: Any) -> pl.DataFrame:
    return pl.DataFrame(table)
