"""One stored molecule, and how its arrays become columns of bytes and back."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from unimol2_tasks.artifacts.schemas import LABEL_PREFIX
from unimol2_tasks.chemistry.features import GraphFeatures
from unimol2_tasks.chemistry.preparation import PreparedMolecule

_TEXTS = ("id", "smiles", "inchikey", "scaffold", "method")
_ARRAY_TYPES = {
    "tokens": "<u1",
    "atom_features": "<u1",
    "degrees": "<u1",
    "bonds": "<u2",
    "bond_features": "<u1",
    "path_lengths": "<u2",
    "positions": "<f4",
    "energies": "<f4",
    "flat_positions": "<f4",
    "atom_map": "<u2",
}
_GRAPH_ARRAYS = ("tokens", "atom_features", "degrees", "bonds", "bond_features", "path_lengths")


@dataclass(frozen=True, slots=True, eq=False)
class MoleculeRecord(PreparedMolecule):
    """A prepared molecule with where it came from and what was measured."""

    row: int
    """The data row of the source, from 1."""
    id: str
    """Its name in the source, else its row."""
    labels: tuple[float | None, ...]
    """[T] in the dataset's order; None where missing."""

    @classmethod
    def of(
        cls, prepared: PreparedMolecule, row: int, name: str, labels: tuple[float | None, ...] = ()
    ) -> "MoleculeRecord":
        """A prepared molecule with its source row (from 1), its name there and its labels."""
        values = {field.name: getattr(prepared, field.name) for field in fields(prepared)}
        return cls(**values, row=row, id=name, labels=labels)


def arrow_schema(label_names: Sequence[str]) -> pa.Schema:
    """The columns of a shard."""
    return pa.schema(
        [("row", pa.uint64())]
        + [(name, pa.string()) for name in _TEXTS]
        + [("atoms", pa.uint16()), ("conformers", pa.uint8())]
        + [(name, pa.binary()) for name in _ARRAY_TYPES]
        + [(LABEL_PREFIX + name, pa.float64()) for name in label_names]
    )


def encode(record: MoleculeRecord, label_names: Sequence[str]) -> dict[str, Any]:
    """One row of a shard, by column."""
    row: dict[str, Any] = {name: getattr(record, name) for name in ("row", *_TEXTS, "conformers")}
    row["atoms"] = len(record.tokens)
    for name, dtype in _ARRAY_TYPES.items():
        owner = record.graph if name in _GRAPH_ARRAYS else record
        row[name] = np.ascontiguousarray(getattr(owner, name), dtype).tobytes()
    return row | {LABEL_PREFIX + name: value for name, value in zip(label_names, record.labels, strict=True)}


class RecordBatch:
    """The molecules of an Arrow batch in the schema of a shard, decoded where they lie.

    The buffers are looked up once; an Arrow scalar per value would take longer than all else that is done
    to a molecule. The arrays of a molecule are read-only views of the batch's memory.
    """

    def __init__(self, batch: pa.RecordBatch, label_names: Sequence[str]) -> None:
        self._rows = _values(batch["row"])
        self._label_columns = [batch[LABEL_PREFIX + name] for name in label_names]
        self._texts = {name: _Slices(batch[name]) for name in _TEXTS}
        self._arrays = [(_Slices(batch[name]), np.dtype(dtype)) for name, dtype in _ARRAY_TYPES.items()]

    def record(self, place: int) -> MoleculeRecord:
        """The molecule at `place`, with all conformers."""
        (
            tokens, atom_features, degrees, bonds, bond_features, path_lengths,
            positions, energies, flat_positions, atom_map,
        ) = [slices.array(place, dtype) for slices, dtype in self._arrays]  # fmt: skip
        n = len(tokens)
        texts: dict[str, Any] = {name: slices.text(place) for name, slices in self._texts.items()}
        graph = GraphFeatures(
            tokens=tokens,
            atom_features=atom_features.reshape(n, -1),
            degrees=degrees,
            bonds=bonds.reshape(-1, 2),
            bond_features=bond_features.reshape(-1, 3),
            path_lengths=path_lengths.reshape(n, n),
        )
        return MoleculeRecord(
            graph=graph,
            positions=positions.reshape(len(energies), n, 3),
            energies=energies,
            flat_positions=flat_positions.reshape(n, 2),
            atom_map=atom_map,
            row=int(self._rows[place]),
            labels=tuple(None if isnan(value) else value for value in self.labels[place].tolist()),
            **texts,
        )

    def text(self, column: str, place: int) -> str:
        """`id`, `smiles`, `inchikey`, `scaffold` or `method` of the molecule at `place`."""
        return self._texts[column].text(place)

    @cached_property
    def labels(self) -> NDArray[np.float64]:
        """[rows, T] in the labels' own units, NaN where missing."""
        labels = np.empty((len(self._rows), len(self._label_columns)))
        for k, column in enumerate(self._label_columns):
            labels[:, k] = column.to_numpy(zero_copy_only=False)
        labels.flags.writeable = False
        return labels


class _Slices:
    """A column of bytes or texts: one piece of memory, and where each value begins."""

    __slots__ = ("_bytes", "_ends")

    def __init__(self, column: pa.Array) -> None:
        _, ends, data = column.buffers()
        # Memory views, because indexing them gives plain integers, several times faster than numpy's.
        self._ends = memoryview(ends).cast("i")[column.offset :]
        self._bytes = memoryview(data if data is not None else b"")

    def array(self, place: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        begin, end = self._ends[place], self._ends[place + 1]
        return np.frombuffer(self._bytes, dtype, (end - begin) // dtype.itemsize, begin)

    def text(self, place: int) -> str:
        return str(self._bytes[self._ends[place] : self._ends[place + 1]], "utf-8")


def _values(column: pa.Array) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy(zero_copy_only=True)
    return values
