"""A table of molecules whose columns are known, and how it is opened."""

from collections.abc import Collection, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.chemistry.structure import Structure
from unimol2_tasks.datasets.columns import (
    ColumnChoice,
    Columns,
    choose_columns,
    parse_number,
    refuse_doubled,
)
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers.formats import format_of
from unimol2_tasks.datasets.readers.listing import table_files
from unimol2_tasks.datasets.readers.records import Record, TableFormat, Unreadable
from unimol2_tasks.datasets.readers.smiles_lines import SMILES
from unimol2_tasks.datasets.readers.tablefile import TableFile
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import TableError

_SAMPLE_ROWS = 1000
_SHOWN_CHARACTERS = 1000
_SAME = "the files of one table need the same columns"


@dataclass(frozen=True, slots=True)
class Table:
    """A table in one file or several; every iteration reads it anew."""

    uri: str
    files: tuple[str, ...]
    """Every file, in the order in which they are read."""
    columns: Columns
    format: TableFormat = field(repr=False)
    store: Store = field(repr=False)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the label columns, in the order of `InputRow.labels`."""
        return self.columns.labels

    @property
    def may_hold_coordinates(self) -> bool:
        """Whether its rows can say where atoms are; SMILES named in an SDF file stand alone."""
        instead = self.format.holds_structures and self.columns.smiles is not None
        return self.format.holds_coordinates and not instead

    def rows(self) -> Iterator[InputRow | Reject]:
        """Every data row, in order, as it is read; numbers run on from file to file.

        Raises:
            TableError: A file is damaged in a way that loses more than a row.
        """
        records = _records(
            self.format, [TableFile(file, self.store) for file in self.files], self.columns.names
        )
        with closing(records):
            for number, record in enumerate(records, start=1):
                yield self._read(number, record)

    def _read(self, number: int, record: Record | Unreadable) -> InputRow | Reject:
        if isinstance(record, Unreadable):
            return Reject(number, record.text[:_SHOWN_CHARACTERS], "read", record.reason)
        smiles = _text(record, self.columns.smiles)
        name = _text(record, self.columns.id) or record.title or str(number)
        labels: list[float | None] = []
        for column in self.columns.labels:
            cell = record.cells.get(column)
            try:
                labels.append(parse_number(cell))
            except ValueError:
                shown = f"{cell!r:.{_SHOWN_CHARACTERS}}"
                return Reject(number, smiles or name, "read", f"column {column!r}: {shown} is not a number")
        # SMILES that somebody asked for stand against the mol block, not beside it.
        block = record.mol_block if self.columns.smiles is None else None
        structure = Structure(smiles, block, record.coordinates)
        return InputRow(number, name, structure, tuple(labels), _text(record, self.columns.split) or None)


def read_table(uri: str, choice: ColumnChoice, store: Store = Store()) -> Table:
    """Open a table and find its columns.

    Args:
        uri: A file, folder or pattern, see `table_files`. `.csv` and `.tsv` have a header; `.smi` and
            `.smiles` one molecule per line, after white space its name; the properties of an `.sdf` or `.sd`
            file are its columns; `.parquet` has typed ones; `.lmdb` is Uni-Mol's. Each also with `.gz`.
        choice: Which columns; what it leaves open is guessed from the first rows and logged.
        store: How S3 is reached.

    Raises:
        TableError: Unknown format, empty table, columns that are missing or cannot be guessed, or files with
            different columns.
        UserError: A file is missing or not readable.
    """
    files = [TableFile(file, store) for file in table_files(uri, store)]
    kind = format_of(files[0].uri)
    if len(files) > 1:
        _refuse_other_columns(kind, files)
    with closing(_records(kind, files, None)) as records:
        sample = list(islice(records, _SAMPLE_ROWS))
        if not sample:
            raise TableError(f"{uri}: no molecule in it; at least one row is needed, in CSV after a header")
        columns = _columns(kind, files[0], choice, sample, records, uri)
    return Table(uri, tuple(file.uri for file in files), columns, kind, store)


def _columns(
    kind: TableFormat,
    first: TableFile,
    choice: ColumnChoice,
    sample: list[Record | Unreadable],
    rest: Iterator[Record | Unreadable],
    uri: str,
) -> Columns:
    if not kind.has_columns:
        _refuse_choice(choice, uri)
        return Columns(SMILES, None, (), None)
    readable = [record for record in sample if isinstance(record, Record)]
    if kind.ragged:
        header = _names_in(readable, rest, choice.names)
    else:
        header = kind.columns(first) or ()
        refuse_doubled(header, first.uri)
    titled = any(record.title for record in readable)
    return choose_columns(
        header,
        [record.cells for record in readable],
        choice,
        uri,
        guess_smiles=not kind.holds_structures,
        guess_id=not (kind.holds_structures and titled),
    )


def _records(
    kind: TableFormat, files: list[TableFile], names: Collection[str] | None
) -> Generator[Record | Unreadable, None, None]:
    for file in files:
        yield from kind.records(file, names)


def _names_in(
    sample: list[Record], rest: Iterator[Record | Unreadable], wanted: Collection[str]
) -> tuple[str, ...]:
    """Columns of records that each have their own; one that was asked for may come late."""
    found = dict.fromkeys(name for record in sample for name in record.cells)
    while not found.keys() >= set(wanted):
        record = next(rest, None)
        if record is None:
            break
        if isinstance(record, Record):
            found |= dict.fromkeys(name for name in wanted if name in record.cells)
    return tuple(found)


def _refuse_other_columns(kind: TableFormat, files: list[TableFile]) -> None:
    expected = kind.columns(files[0])
    if expected is None:
        return
    for file in files[1:]:
        columns = kind.columns(file) or ()
        refuse_doubled(columns, file.uri)
        differing = [name for name in expected if name not in columns]
        if differing:
            raise TableError(f"{file.uri}: no column {differing[0]!r}, which {files[0].uri} has; {_SAME}")
        differing = [name for name in columns if name not in expected]
        if differing:
            raise TableError(f"{file.uri}: column {differing[0]!r}, which {files[0].uri} has not; {_SAME}")


def _refuse_choice(choice: ColumnChoice, uri: str) -> None:
    if choice.labels:
        raise TableError(f"{uri}: a SMILES file has no label columns; give a CSV or TSV")
    if choice.names:
        raise TableError(f"{uri}: a SMILES file has no named columns; give a CSV or TSV, or name no column")


def _text(record: Record, column: str | None) -> str:
    cell = None if column is None else record.cells.get(column)
    return "" if cell is None else str(cell).strip()
