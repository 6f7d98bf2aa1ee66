"""CSV and TSV files with a header."""

import csv
from collections.abc import Collection, Iterator
from typing import ClassVar, TextIO

from unimol2_tasks.datasets.readers.records import Record, TableFormat, Unreadable, damage, escape
from unimol2_tasks.datasets.readers.tablefile import TableFile
from unimol2_tasks.errors import TableError

_LONGEST_FIELD = 1 << 20
_ADVICE = "look for a quote too many or too few"


class _Lines:
    """The lines of a text, of which the last one read can be shown."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.last = ""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        self.last = next(self._text)
        return self.last


class Csv(TableFormat):
    """Comma-separated values."""

    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    delimiter: ClassVar[str] = ","

    def columns(self, file: TableFile) -> tuple[str, ...]:
        """The first line that is not empty."""
        with file.text(newline="") as text:
            return self._header(self._rows(text, file.uri), file.uri)

    def records(self, file: TableFile, names: Collection[str] | None = None) -> Iterator[Record | Unreadable]:
        """Every line that is not empty, after the header; a quoted cell may hold line ends.

        Raises:
            TableError: A quote was never closed and took lines of other rows with it.
        """
        with file.text(newline="") as text:
            rows = self._rows(text, file.uri)
            header = self._header(rows, file.uri)
            for row in rows:
                yield row if isinstance(row, Unreadable) else self._record(header, *row)

    def _header(self, rows: Iterator[tuple[list[str], int, int] | Unreadable], uri: str) -> tuple[str, ...]:
        first = next(rows, None)
        if first is None:
            return ()
        problem = first.reason if isinstance(first, Unreadable) else damage("".join(first[0]))
        if isinstance(first, Unreadable) or problem is not None:
            raise TableError(f"{uri}: the header cannot be read: {problem}")
        return tuple(first[0])

    def _record(
        self, header: tuple[str, ...], fields: list[str], first: int, last: int
    ) -> Record | Unreadable:
        text = self.delimiter.join(fields)
        problem = damage(text)
        if problem is not None:
            return Unreadable(escape(text), problem)
        if len(fields) != len(header):
            reason = f"{len(fields)} fields, the header has {len(header)}"
            return Unreadable(text, reason if first == last else f"{reason}; lines {first}-{last}: {_ADVICE}")
        return Record(dict(zip(header, fields, strict=True)))

    def _rows(self, text: TextIO, uri: str) -> Iterator[tuple[list[str], int, int] | Unreadable]:
        """The fields of every row that is not empty, with its first and last line."""
        csv.field_size_limit(_LONGEST_FIELD)
        lines = _Lines(text)
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            first = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if reader.line_num > first:
                    raise TableError(
                        f"{uri}: the row that begins on line {first} does not end before line "
                        f"{reader.line_num}: {error}; {_ADVICE}"
                    ) from None
                yield Unreadable(escape(lines.last.rstrip("\r\n")), f"{error}; {_ADVICE}")
                continue
            if fields:
                yield fields, first, reader.line_num


class Tsv(Csv):
    """Tab-separated values."""

    suffixes: ClassVar[tuple[str, ...]] = (".tsv",)
    delimiter: ClassVar[str] = "\t"
