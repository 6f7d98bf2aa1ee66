"""Uni-Mol's LMDB files: one pickled dictionary per molecule, with conformers.

Source of the layout: Uni-Mol's released data: `smi`, `atoms` [N], `coordinates` (a list of [N, 3], in Å),
`target`, and whatever else its maker put in.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.chemistry.structure import AtomPositions
from unimol2_tasks.datasets.readers import array_pickles
from unimol2_tasks.datasets.readers.lmdb_file import lmdb_entries
from unimol2_tasks.datasets.readers.records import Record, TableFormat, Unreadable
from unimol2_tasks.datasets.readers.tablefile import TableFile
from unimol2_tasks.errors import TableError

_STRUCTURE_KEYS = ("atoms", "coordinates")
_TARGET = "target"


class UniMolLmdb(TableFormat):
    """Targets are cells `target`, or `target_0`, `target_1`, …, where there are several.

    They are taken as they are: some classification sets write -1 where a label is missing.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".lmdb",)
    holds_coordinates: ClassVar[bool] = True
    ragged: ClassVar[bool] = True

    def columns(self, file: TableFile) -> tuple[str, ...]:
        """Those of the first record."""
        for record in self.records(file, None):
            if isinstance(record, Record):
                return tuple(record.cells)
        return ()

    def records(self, file: TableFile, names: Collection[str] | None = None) -> Iterator[Record | Unreadable]:
        """Every entry in the order of the keys, which is that of their bytes: 0, 1, 10, 100, 101, ….

        LMDB maps a file into memory: one on S3, or gzipped, is copied to a temporary file first.

        Raises:
            TableError: No LMDB file, or one whose pickles ask for more than arrays and plain values.
        """
        with file.local() as path, lmdb_entries(path, file.uri) as entries:
            for key, content in entries:
                name = key.decode("ascii", "backslashreplace")
                try:
                    value = array_pickles.loads(content)
                except array_pickles.Refused as refused:
                    raise TableError(
                        f"{file.uri}: entry {name!r} asks for {refused}; only numpy arrays of numbers, plain "
                        "containers, numbers and text are read, because a pickle can run any program"
                    ) from None
                except array_pickles.DAMAGED as error:
                    yield Unreadable(name, f"damaged pickle: {error}")
                    continue
                yield _record(name, value)


def _record(key: str, entry: object) -> Record | Unreadable:
    if not isinstance(entry, Mapping):
        return Unreadable(key, f"holds {type(entry).__name__}, expected a dictionary of smi, atoms, …")
    cells = {str(name): value for name, value in entry.items() if name not in (*_STRUCTURE_KEYS, _TARGET)}
    try:
        # A pickle may hold halves of characters, which no table takes.
        "".join(cell for cell in cells.values() if isinstance(cell, str)).encode()
        coordinates = _coordinates(entry)
        return Record(cells | _targets(entry.get(_TARGET)), title=key, coordinates=coordinates)
    except (ValueError, TypeError) as error:
        text = str(entry.get("smi", key)).encode("utf-8", "backslashreplace").decode()
        return Unreadable(text, f"entry {key!r}: {error}")


def _targets(target: object) -> dict[str, object]:
    if target is None:
        return {}
    values = np.asarray(target).ravel().tolist()
    if len(values) == 1:
        return {_TARGET: values[0]}
    return {f"{_TARGET}_{number}": value for number, value in enumerate(values)}


def _coordinates(entry: Mapping[Any, Any]) -> AtomPositions | None:
    """Its conformers, without drawings; None where it has none."""
    if any(entry.get(key) is None for key in _STRUCTURE_KEYS):
        return None
    symbols = tuple(str(symbol) for symbol in entry["atoms"])
    conformers = _spatial(_arrays(entry["coordinates"]))
    for conformer in conformers:
        if conformer.shape != (len(symbols), 3):
            raise ValueError(f"coordinates {list(conformer.shape)} for {len(symbols)} atoms")
    return AtomPositions(symbols, np.stack(conformers)) if conformers else None


def _arrays(coordinates: Any) -> list[NDArray[np.float32]]:
    """A list of [N, 3], from that or from one [N, 3]."""
    if len(coordinates) and np.ndim(coordinates[0]) == 1:
        coordinates = [coordinates]
    return [np.asarray(conformer, np.float32) for conformer in coordinates]


def _spatial(conformers: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Those that are not flat: beside its conformers, and where one failed, Uni-Mol stores a drawing, z = 0.

    A single one is taken as it is: it may be a planar molecule.
    """
    if len(conformers) == 1:
        return list(conformers)
    return [conformer for conformer in conformers if conformer.ndim != 2 or conformer[:, 2:].any()]
