"""Rows that mean the same molecule become one, out of core.

DuckDB finds the groups and puts their rows side by side, spilling to disk beyond its memory limit. Their
labels are merged outside of it, so that no value depends on the order in which threads come to add.
"""

import glob
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from unimol2_tasks.artifacts.schemas import LABEL_PREFIX
from unimol2_tasks.datasets.identified import identified_schema
from unimol2_tasks.datasets.merging import DuplicateRule, merge_groups, merged_schema
from unimol2_tasks.errors import TableError

__all__ = ["DuplicateCounts", "DuplicateRule", "deduplicate"]

_KEYS = {"inchikey": "inchikey", "skeleton": "left(inchikey, 14)"}
# Each has buffers of its own beside those that DuckDB's memory limit counts.
_THREADS = 1
# A reader of one unit of work opens one or two row groups, of less than a megabyte each.
_ROW_GROUP = 16_384

_REJECTED = pa.schema([("row", pa.uint64())] + [(name, pa.string()) for name in ("input", "stage", "reason")])
_REJECTED_ROWS = """
    SELECT row, input, 'deduplicate' AS stage, coalesce(merged.reason, 'duplicate of row ' || first)
    FROM members JOIN merged USING (first) JOIN identified USING (row)
    WHERE merged.reason IS NOT NULL OR row <> first ORDER BY row
"""
_COUNTS = """
    SELECT coalesce(sum(size - 1) FILTER (reason IS NULL), 0), count(*) FILTER (conflicts),
        coalesce(sum(size) FILTER (reason IS NOT NULL), 0)
    FROM merged JOIN repeated USING (first)
"""


@dataclass(frozen=True, slots=True)
class DuplicateCounts:
    """What became of the rows; molecules + duplicates + dropped is the number of identified rows."""

    molecules: int
    """Rows kept."""
    duplicates: int
    """Rows merged into an earlier one."""
    conflicts: int
    """Molecules whose rows disagree on a label by more than the tolerance."""
    dropped: int
    """Rows rejected for such a conflict."""


def deduplicate(
    identified: Sequence[Path],
    kept: Path,
    rejected: Path,
    rule: DuplicateRule,
    label_names: Sequence[str],
    *,
    temporary: Path,
    memory_limit: str = "1GiB",
) -> DuplicateCounts:
    """Merge identified rows of the same molecule into the first of them.

    Both results are sorted by row, have the same bytes for the same rows however these lie in files, and
    appear under their names when they are complete, `kept` last.

    Args:
        identified: Files of `datasets.identified`; rows that have a reason already are left out.
        kept: Parquet of row, split and labels (finite or null), one row per molecule.
        rejected: Parquet of row, input, stage and reason: all other rows.
        rule: What is merged, and how.
        label_names: The labels of the identified rows.
        temporary: A folder for what does not fit into memory; nothing stays in it.
        memory_limit: DuckDB's, as `128MiB` or `1GiB`; about 200 MiB of buffers come on top.

    Raises:
        TableError: The column of splits puts rows of one molecule into different parts.
    """
    labels = [f"label_{place}" for place in range(len(label_names))]
    with (
        tempfile.TemporaryDirectory(dir=temporary) as folder,
        _connect(Path(folder), memory_limit) as connection,
    ):
        _view_identified(connection, identified, rule, label_names)
        _find_groups(connection, labels)
        _check_splits(connection)
        merged = Path(folder) / "merged.parquet"
        members = _read(connection, "FROM members ORDER BY first, row")
        _write(merged, merged_schema(len(labels)), merge_groups(members, rule, label_names))
        _view(connection, "merged", [merged])
        partial = [path.with_name(f".{path.name}.partial") for path in (rejected, kept)]
        _write(partial[0], _REJECTED, _read(connection, _REJECTED_ROWS))
        molecules = _write(partial[1], _kept_schema(label_names), _read(connection, _kept_rows(labels)))
        counts = connection.execute(_COUNTS).fetchone()
    partial[0].replace(rejected)
    partial[1].replace(kept)
    return DuplicateCounts(molecules, *counts)


def _connect(folder: Path, memory_limit: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "temp_directory": str(folder / "spilled"),
            "threads": _THREADS,
            # Every query here says its order.
            "preserve_insertion_order": False,
            # Parquet is built in; anything else would come from the network.
            "autoinstall_known_extensions": False,
        }
    )
    connection.execute("SET enable_progress_bar = false")
    return connection


def _view(connection: duckdb.DuckDBPyConnection, name: str, files: Iterable[Path]) -> None:
    connection.read_parquet([glob.escape(str(path)) for path in files]).create_view(name)


def _view_identified(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    rule: DuplicateRule,
    label_names: Sequence[str],
) -> None:
    """Name the columns by their place: names of labels stay out of SQL, which also ignores their case."""
    _view(connection, "files", files)
    stand_in = {LABEL_PREFIX + name: f"label_{place}" for place, name in enumerate(label_names)}
    columns = ", ".join(stand_in.get(name, name) for name in identified_schema(label_names).names)
    connection.execute(f"CREATE VIEW identified({columns}) AS FROM files")
    connection.execute(
        f"CREATE VIEW usable AS SELECT *, {_KEYS[rule.key]} AS key FROM identified WHERE reason IS NULL"  # noqa: S608
    )


def _read(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    # Of `connection.execute` the whole result would be copied into memory.
    return iter(connection.sql(query).to_arrow_reader(_ROW_GROUP))


def _find_groups(connection: duckdb.DuckDBPyConnection, labels: Sequence[str]) -> None:
    # Aggregates of a fixed size and a join, because both spill to disk; lists of rows would not.
    connection.execute("""
        CREATE TABLE repeated AS
        SELECT key, min(row) AS first, count(*) AS size, min(split) AS split, max(split) AS other_split
        FROM usable GROUP BY key HAVING count(*) > 1
    """)
    connection.execute(f"""
        CREATE TABLE members AS
        SELECT {", ".join(["first", "row", *labels])} FROM usable JOIN repeated USING (key)
    """)  # noqa: S608 - names of this module


def _check_splits(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute("""
        SELECT min(row), usable.split FROM usable
        JOIN (FROM repeated WHERE split <> other_split ORDER BY first LIMIT 1) AS torn USING (key)
        WHERE usable.split IS NOT NULL GROUP BY usable.split ORDER BY min(row) LIMIT 2
    """).fetchall()
    if found:
        (row, split), (other_row, other_split) = found
        raise TableError(
            f"rows {row} and {other_row} count as one molecule, but their splits are {split!r} and "
            f"{other_split!r}; give both the same split, or remove one of them"
        )


def _kept_rows(labels: Sequence[str]) -> str:
    columns = ", ".join(["row", "split", *labels])
    merged = ", ".join(["first AS row", "split", *labels])
    return f"""
        SELECT {columns} FROM usable ANTI JOIN members USING (row)
        UNION ALL SELECT {merged} FROM merged JOIN repeated USING (first) WHERE reason IS NULL
        ORDER BY row
    """  # noqa: S608 - names of this module


def _kept_schema(label_names: Sequence[str]) -> pa.Schema:
    labels = [(LABEL_PREFIX + name, pa.float64()) for name in label_names]
    return pa.schema([("row", pa.uint64()), ("split", pa.string()), *labels])


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write row groups of a size that does not depend on that of the batches; says how many rows."""
    rows = 0
    held = schema.empty_table()
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            rows += len(batch)
            held = pa.concat_tables([held, pa.table(batch.columns, schema=schema)])
            while len(held) >= _ROW_GROUP:
                writer.write_table(held.slice(0, _ROW_GROUP).combine_chunks())
                held = held.slice(_ROW_GROUP)
        if len(held):
            writer.write_table(held.combine_chunks())
    return rows
