"""Where every molecule of a dataset is, how large it is, and which scaffold it has."""

from array import array
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pandera.polars import DataFrameSchema

from unimol2_tasks.artifacts.schemas import INDEX, SCAFFOLDS, validate

INDEX_FILE = "index.parquet"
SCAFFOLDS_FILE = "scaffolds.parquet"

_CHUNK = 2**18
_INDEX_SCHEMA = pa.schema(
    [
        ("index", pa.uint64()),
        ("shard", pa.string()),
        ("row_in_shard", pa.uint32()),
        ("atoms", pa.uint16()),
        ("conformers", pa.uint8()),
        ("scaffold", pa.uint32()),
    ]
)
_SCAFFOLDS_SCHEMA = pa.schema([("scaffold", pa.string()), ("molecules", pa.uint64())])


def shard_name(number: int) -> str:
    """The file of a shard, counted from 0."""
    return f"part-{number:05d}.parquet"


class IndexWriter:
    """Collects the index while shards are written: 7 bytes per molecule, and every scaffold once."""

    def __init__(self) -> None:
        self._atoms = array("H")
        self._conformers = array("B")
        self._scaffolds = array("I")
        self._numbers: dict[str, int] = {}

    @property
    def rows(self) -> int:
        """How many molecules were added."""
        return len(self._atoms)

    def add(self, group: pa.Table) -> None:
        """Append the molecules of a row group."""
        self._atoms.frombytes(group["atoms"].to_numpy().astype(np.uint16).tobytes())
        self._conformers.frombytes(group["conformers"].to_numpy().astype(np.uint8).tobytes())
        encoded = group["scaffold"].combine_chunks().dictionary_encode()
        numbers = [
            self._numbers.setdefault(text, len(self._numbers)) for text in encoded.dictionary.to_pylist()
        ]
        self._scaffolds.frombytes(np.array(numbers, np.uint32)[encoded.indices.to_numpy()].tobytes())

    def write(self, folder: Path, rows_per_shard: int) -> None:
        """Write the index and the table of scaffolds, the most frequent first, ties by text."""
        numbers = np.frombuffer(self._scaffolds, np.uint32)
        counts = np.bincount(numbers, minlength=len(self._numbers))
        texts = list(self._numbers)
        ranked = sorted(range(len(texts)), key=lambda number: (-counts[number], texts[number]))
        places = np.empty(len(texts), np.uint32)
        places[ranked] = np.arange(len(texts), dtype=np.uint32)
        scaffolds = pa.table(
            {"scaffold": [texts[number] for number in ranked], "molecules": counts[ranked]}, _SCAFFOLDS_SCHEMA
        )
        _validate(scaffolds, SCAFFOLDS, SCAFFOLDS_FILE)
        pq.write_table(scaffolds, folder / SCAFFOLDS_FILE, compression="zstd")
        with pq.ParquetWriter(folder / INDEX_FILE, _INDEX_SCHEMA, compression="zstd") as file:
            for start in range(0, self.rows, _CHUNK):
                chunk = self._chunk(start, places[numbers[start : start + _CHUNK]], rows_per_shard)
                _validate(chunk, INDEX, INDEX_FILE)
                file.write_table(chunk)

    def _chunk(self, start: int, scaffolds: NDArray[np.uint32], rows_per_shard: int) -> pa.Table:
        """The rows of the index from `start` on, as many as there are `scaffolds`."""
        index = np.arange(start, start + len(scaffolds), dtype=np.uint64)
        shards, rows = np.divmod(index, np.uint64(rows_per_shard))
        here = slice(start, start + len(scaffolds))
        columns = {
            "index": index,
            "shard": pa.array([shard_name(int(number)) for number in shards], pa.string()),
            "row_in_shard": rows.astype(np.uint32),
            "atoms": np.frombuffer(self._atoms, np.uint16)[here],
            "conformers": np.frombuffer(self._conformers, np.uint8)[here],
            "scaffold": scaffolds,
        }
        return pa.table(columns, _INDEX_SCHEMA)


def _validate(table: pa.Table, schema: DataFrameSchema, where: str) -> None:
    validate(pl.DataFrame(table), schema, where)
