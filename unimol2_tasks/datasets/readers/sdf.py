"""SDF files: mol blocks (V2000 or V3000) with named properties, one record after the other."""

import re
from collections.abc import Collection, Iterator
from typing import ClassVar, TextIO

from unimol2_tasks.datasets.readers.records import Record, TableFormat, Unreadable, damage, escape
from unimol2_tasks.datasets.readers.tablefile import TableFile

_RECORD_END = "$$$$"
_BLOCK_END = "M  END"
_HEADER_LINES = 3
_PROPERTY = re.compile(r"^>[^<]*<(.*)>")
_LONGEST_RECORD = 1 << 24


class Sdf(TableFormat):
    """The mol block goes on as text: whether it is a molecule is for chemistry to say."""

    suffixes: ClassVar[tuple[str, ...]] = (".sdf", ".sd")
    holds_structures: ClassVar[bool] = True
    holds_coordinates: ClassVar[bool] = True
    ragged: ClassVar[bool] = True

    def columns(self, file: TableFile) -> None:
        """Every record names its own properties."""
        return

    def records(self, file: TableFile, names: Collection[str] | None = None) -> Iterator[Record | Unreadable]:
        """What is between lines of `$$$$`; the last record may lack it."""
        with file.text() as text:
            for lines, size in _split(text):
                yield _record(lines, size)


def _split(text: TextIO) -> Iterator[tuple[list[str], int]]:
    """The lines of each record and its size in characters, of which not more than a limit is kept."""
    lines: list[str] = []
    size = 0
    for line in text:
        if line.startswith(_RECORD_END):
            yield lines, size
            lines, size = [], 0
            continue
        size += len(line)
        if size <= _LONGEST_RECORD:
            lines.append(line.rstrip("\n"))
    if any(line.strip() for line in lines):
        yield lines, size


def _record(lines: list[str], size: int) -> Record | Unreadable:
    title = lines[0].strip() if lines else ""
    if size > _LONGEST_RECORD:
        reason = f"longer than {_LONGEST_RECORD} characters; look for a missing line of {_RECORD_END}"
        return Unreadable(escape(title), reason)
    problem = damage("\n".join(lines))
    if problem is not None:
        return Unreadable(escape(title), problem)
    end = _end_of_block(lines)
    cells = _properties(lines[end:])
    if cells is None:
        return Unreadable(title, f"two structures in one record; look for a missing line of {_RECORD_END}")
    return Record(cells, title=title, mol_block="\n".join([*lines[:end], ""]))


def _end_of_block(lines: list[str]) -> int:
    """How many lines the mol block has; it may lack its last line."""
    for place, line in enumerate(lines[_HEADER_LINES:], start=_HEADER_LINES):
        if line.startswith(_BLOCK_END):
            return place + 1
        if line.startswith(">"):
            return place
    return len(lines)


def _properties(lines: list[str]) -> dict[str, object] | None:
    """Property values by name; None where another mol block comes between them."""
    values: dict[str, list[str]] = {}
    name: str | None = None
    for line in lines:
        if name is not None:
            if line.strip():
                values[name].append(line)
            else:
                name = None
        elif line.startswith(">"):
            found = _PROPERTY.match(line)
            name = found[1] if found else ""
            values[name] = []
        elif line.startswith(_BLOCK_END):
            return None
    return {name: "\n".join(text) for name, text in values.items() if name}
