"""Datasets on disk: Parquet shards of molecules, an index and splits."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from unimol2_tasks.artifacts.schemas import INDEX, LABEL_PREFIX, MOLECULES, SPLITS, validate
from unimol2_tasks.chemistry.splits import Split
from unimol2_tasks.datasets.records import MoleculeRecord, arrow_schema, decode, encode
from unimol2_tasks.errors import ArtifactError

__all__ = ["MoleculeDataset", "MoleculeRecord", "ShardWriter", "open_dataset", "write_splits"]

_MOLECULES_FOLDER = "molecules"
_INDEX_FILE = "index.parquet"
_SPLITS_FILE = "splits.parquet"
_ROW_GROUP = 1024


class ShardWriter:
    """Writes molecules in order, and the index when it is closed without an error.

    Attributes:
        rows: How many molecules were written.
    """

    def __init__(self, folder: Path, rows_per_shard: int, label_names: Sequence[str]) -> None:
        """Write into `folder`, at most `rows_per_shard` molecules per file."""
        self.rows = 0
        self._folder = folder
        self._rows_per_shard = rows_per_shard
        self._label_names = tuple(label_names)
        self._schema = arrow_schema(label_names)
        self._pending: list[dict[str, Any]] = []
        self._index: list[tuple[int, str, int, int]] = []
        self._shard: pq.ParquetWriter | None = None
        (folder / _MOLECULES_FOLDER).mkdir(parents=True, exist_ok=True)

    def write(self, record: MoleculeRecord) -> None:
        """Append one molecule."""
        place = self.rows % self._rows_per_shard
        self._index.append((self.rows, self._shard_name(), place, len(record.tokens)))
        self._pending.append(encode(record, self._label_names))
        if len(self._pending) == _ROW_GROUP or place == self._rows_per_shard - 1:
            self._write_row_group()
        self.rows += 1
        if place == self._rows_per_shard - 1:
            self._close_shard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._pending:
            self._write_row_group()
        self._close_shard()
        if kind is None:
            self._write_index()

    def _shard_name(self) -> str:
        return f"part-{self.rows // self._rows_per_shard:05d}.parquet"

    def _write_row_group(self) -> None:
        name = self._index[-1][1]
        table = pa.Table.from_pylist(self._pending, schema=self._schema)
        validate(_as_frame(table), MOLECULES, f"{_MOLECULES_FOLDER}/{name}")
        if self._shard is None:
            path = self._folder / _MOLECULES_FOLDER / name
            self._shard = pq.ParquetWriter(
                path, self._schema, compression="zstd", use_dictionary=["scaffold", "method"]
            )
        self._shard.write_table(table)
        self._pending.clear()

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def _write_index(self) -> None:
        schema = {"index": pl.UInt64, "shard": pl.String, "row_in_shard": pl.UInt32, "atoms": pl.UInt16}
        frame = pl.DataFrame(self._index, schema=schema, orient="row")
        validate(frame, INDEX, _INDEX_FILE).write_parquet(self._folder / _INDEX_FILE)


def write_splits(folder: Path, ids: Sequence[str], splits: Sequence[Split]) -> None:
    """Write which molecule belongs to which split, in dataset order."""
    columns = {"index": range(len(ids)), "id": ids, "split": splits}
    frame = pl.DataFrame(columns, schema={"index": pl.UInt64, "id": pl.String, "split": pl.String})
    validate(frame, SPLITS, _SPLITS_FILE).write_parquet(folder / _SPLITS_FILE)


class MoleculeDataset:
    """A dataset in memory, as Arrow columns; molecules are decoded when they are asked for.

    Attributes:
        label_names: The T labels of every molecule.
        atoms: [n] heavy atoms per molecule.
    """

    def __init__(self, batches: Sequence[pa.RecordBatch], atoms: NDArray[np.int64], splits: NDArray[np.str_]):
        """Use `open_dataset` instead, which checks the files."""
        self.label_names = tuple(
            name.removeprefix(LABEL_PREFIX)
            for name in batches[0].schema.names
            if name.startswith(LABEL_PREFIX)
        )
        self.atoms = atoms
        self._batches = batches
        self._splits = splits
        self._ends = np.cumsum([batch.num_rows for batch in batches])

    def __len__(self) -> int:
        return len(self.atoms)

    def record(self, index: int) -> MoleculeRecord:
        """The molecule at `index`, with all conformers; its arrays are read-only."""
        return decode(*self._locate(index), self.label_names)

    def labels(self, index: int) -> NDArray[np.float64]:
        """[T] in the labels' own units, NaN where missing."""
        values: NDArray[np.float64] = self._labels[self._checked(index)]
        return values

    def indices(self, split: Split) -> NDArray[np.int64]:
        """The molecules of one split, in dataset order."""
        return np.flatnonzero(self._splits == split)

    def id(self, index: int) -> str:
        """The molecule's name in the source, else its row there."""
        return self._text("id", index)

    def smiles(self, index: int) -> str:
        """Canonical SMILES."""
        return self._text("smiles", index)

    def scaffold(self, index: int) -> str:
        """Murcko scaffold; empty for an acyclic molecule."""
        return self._text("scaffold", index)

    @cached_property
    def conformers(self) -> NDArray[np.int64]:
        """[n] stored conformers per molecule."""
        columns = [batch["conformers"].to_numpy(zero_copy_only=False) for batch in self._batches]
        return np.concatenate(columns).astype(np.int64)

    @cached_property
    def _labels(self) -> NDArray[np.float64]:
        columns = [
            np.concatenate(
                [batch[LABEL_PREFIX + name].to_numpy(zero_copy_only=False) for batch in self._batches]
            )
            for name in self.label_names
        ]
        return np.stack(columns, axis=1) if columns else np.empty((len(self), 0))

    def _text(self, column: str, index: int) -> str:
        batch, place = self._locate(index)
        text: str = batch[column][place].as_py()
        return text

    def _locate(self, index: int) -> tuple[pa.RecordBatch, int]:
        index = self._checked(index)
        number = int(np.searchsorted(self._ends, index, side="right"))
        batch = self._batches[number]
        return batch, index - int(self._ends[number]) + batch.num_rows

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"molecule {index} of a dataset of {len(self)}")
        return int(index)


def open_dataset(path: Path | str) -> MoleculeDataset:
    """Read a dataset's folder into memory.

    Raises:
        ArtifactError: A file is missing, damaged or of another version; names it.
    """
    folder = Path(path)
    index = _read_frame(folder / _INDEX_FILE)
    validate(index, INDEX, str(folder / _INDEX_FILE))
    splits = _read_frame(folder / _SPLITS_FILE)
    validate(splits, SPLITS, str(folder / _SPLITS_FILE))
    if splits.height != index.height or not index.height:
        raise ArtifactError(f"{folder / _SPLITS_FILE}: {splits.height} rows, the index has {index.height}")
    batches: list[pa.RecordBatch] = []
    for (name,), rows in index.group_by("shard", maintain_order=True):
        batches.extend(_read_shard(folder / _MOLECULES_FOLDER / str(name), rows.height).to_batches())
    return MoleculeDataset(
        batches, index["atoms"].cast(pl.Int64).to_numpy(), splits["split"].to_numpy().astype(np.str_)
    )


def _read_shard(path: Path, rows: int) -> pa.Table:
    table = _read_table(path)
    validate(_as_frame(table), MOLECULES, str(path))
    if table.num_rows != rows:
        raise ArtifactError(
            f"{path}: {table.num_rows} molecules, the index lists {rows}; make the dataset anew"
        )
    return table


def _read_frame(path: Path) -> pl.DataFrame:
    return _as_frame(_read_table(path))


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing; this is no complete dataset") from None
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path}: damaged: {error}; make or download the dataset again") from None


def _as_frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # a table never becomes a series  # noqa: S101
    return frame
