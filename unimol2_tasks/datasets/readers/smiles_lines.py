"""SMILES files: one molecule per line, after white space its name."""

from collections.abc import Collection, Iterator
from typing import ClassVar

from unimol2_tasks.datasets.readers.records import Record, TableFormat, Unreadable, damage, escape
from unimol2_tasks.datasets.readers.tablefile import TableFile

SMILES = "smiles"
"""The one cell of a record."""


class SmilesLines(TableFormat):
    """Lines of SMILES, without a header or with one that begins with `smiles`."""

    suffixes: ClassVar[tuple[str, ...]] = (".smi", ".smiles")
    has_columns: ClassVar[bool] = False

    def columns(self, file: TableFile) -> tuple[str, ...]:
        """SMILES."""
        return (SMILES,)

    def records(self, file: TableFile, names: Collection[str] | None = None) -> Iterator[Record | Unreadable]:
        """Every line that is not empty."""
        with file.text() as text:
            for number, line in enumerate(text):
                fields = line.split(maxsplit=1)
                if fields and not (number == 0 and fields[0].lower() == SMILES):
                    yield _record(fields, line)


def _record(fields: list[str], line: str) -> Record | Unreadable:
    problem = damage(line)
    if problem is not None:
        return Unreadable(escape(line.strip()), problem)
    return Record({SMILES: fields[0]}, title=fields[1].strip() if len(fields) > 1 else "")
