"""What every format turns its data rows into."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from unimol2_tasks.chemistry.structure import AtomPositions
from unimol2_tasks.datasets.readers.tablefile import TableFile

# Bytes that are not UTF-8, as Python's "surrogateescape" keeps them, and the character that ends C strings.
_DAMAGE = re.compile("[\x00\udc80-\udcff]")


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One data row as its file holds it: nobody has chosen columns yet."""

    cells: Mapping[str, object]
    """By column or property; a missing one is None, or not there."""
    title: str = ""
    """A name that no column holds: an SDF file's title line, an LMDB file's key."""
    mol_block: str | None = None
    coordinates: AtomPositions | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One data row that its format's rules do not allow."""

    text: str
    reason: str


class TableFormat(ABC):
    """How one kind of file is read."""

    suffixes: ClassVar[tuple[str, ...]]
    """Each also with `.gz`."""
    has_columns: ClassVar[bool] = True
    """Whether its cells have names that a person can choose by."""
    holds_structures: ClassVar[bool] = False
    """Whether a record is a molecule without any SMILES."""
    holds_coordinates: ClassVar[bool] = False
    """Whether a record may say where its atoms are."""
    ragged: ClassVar[bool] = False
    """Whether each record says which cells it has; elsewhere the file does."""

    @abstractmethod
    def columns(self, file: TableFile) -> tuple[str, ...] | None:
        """Names of the columns; None where every record may have others; empty for an empty file.

        Raises:
            TableError: The file is no table of this format.
        """

    @abstractmethod
    def records(self, file: TableFile, names: Collection[str] | None) -> Iterator[Record | Unreadable]:
        """Every data row, in order, as it is read.

        Args:
            file: Where they are.
            names: The columns that matter; others may be left out. None: all of them.

        Raises:
            TableError: The file is no table of this format, or damaged in a way that loses more than a row.
        """


def damage(text: str) -> str | None:
    """Why `text` is none, if it is not: a byte outside UTF-8, or a NUL."""
    if text.isascii() and "\0" not in text:
        return None
    found = _DAMAGE.search(text)
    if found is None:
        return None
    if found[0] == "\0":
        return "holds a NUL character; save the file as UTF-8 text"
    return f"byte 0x{ord(found[0]) & 0xFF:02X} is not UTF-8; save the file as UTF-8"


def escape(text: str) -> str:
    """`text` with a hexadecimal escape for every byte that is no character."""
    return _DAMAGE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)
