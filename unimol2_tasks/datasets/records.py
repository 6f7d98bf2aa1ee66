"""One stored molecule, and how its arrays become columns of bytes and back."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
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


def decode(batch: pa.RecordBatch, place: int, label_names: Sequence[str]) -> MoleculeRecord:
    """The molecule at `place`; its arrays are read-only views of the batch's memory."""
    n, conformers = batch["atoms"][place].as_py(), batch["conformers"][place].as_py()
    arrays = {name: _array(batch, name, place) for name in _ARRAY_TYPES}
    graph = GraphFeatures(
        tokens=arrays["tokens"],
        atom_features=arrays["atom_features"].reshape(n, -1),
        degrees=arrays["degrees"],
        bonds=arrays["bonds"].reshape(-1, 2),
        bond_features=arrays["bond_features"].reshape(-1, 3),
        path_lengths=arrays["path_lengths"].reshape(n, n),
    )
    return MoleculeRecord(
        graph=graph,
        positions=arrays["positions"].reshape(conformers, n, 3),
        energies=arrays["energies"],
        flat_positions=arrays["flat_positions"].reshape(n, 2),
        atom_map=arrays["atom_map"],
        row=batch["row"][place].as_py(),
        labels=tuple(batch[LABEL_PREFIX + name][place].as_py() for name in label_names),
        **{name: batch[name][place].as_py() for name in _TEXTS},
    )


def _array(batch: pa.RecordBatch, name: str, place: int) -> NDArray[Any]:
    return np.frombuffer(batch[name][place].as_buffer(), _ARRAY_TYPES[name])
