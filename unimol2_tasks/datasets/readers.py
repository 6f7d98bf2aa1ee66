"""Tables of molecules: CSV, TSV and SMILES files, plain or gzipped, local or on S3, read as a stream."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.columns import ColumnChoice, Columns, choose_columns, parse_number
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.errors import TableError

Format = Literal["csv", "tsv", "smiles"]

_FORMATS: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".smi": "smiles", ".smiles": "smiles"}
_SAMPLE_ROWS = 1000
_SMILES_FILE_HEADER = ("smiles", "name")
_LONGEST_FIELD = 1 << 20


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row of a table that could be read; whether it is a molecule is not known yet."""

    row: int
    """From 1, not counting the header and empty lines."""
    smiles: str
    id: str
    """The row's name, else its number."""
    labels: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose columns are known; every iteration reads it anew."""

    uri: str
    header: tuple[str, ...]
    columns: Columns
    format: Format
    store: Store = field(repr=False)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the label columns, in the order of `InputRow.labels`."""
        return tuple(self.header[place] for place in self.columns.labels)

    def rows(self) -> Iterator[InputRow | Reject]:
        """Every data row, in order, as it is read.

        Raises:
            TableError: The file is no text in UTF-8, or damaged.
        """
        with _records(self.uri, self.format, self.store) as records:
            if self.format != "smiles":
                next(records)
            for number, record in enumerate(records, start=1):
                yield self._read(number, record)

    def _read(self, number: int, record: list[str]) -> InputRow | Reject:
        if len(record) != len(self.header):
            reason = f"{len(record)} fields, the header has {len(self.header)}"
            return Reject(number, ",".join(record), "read", reason)
        smiles = record[self.columns.smiles].strip()
        labels: list[float | None] = []
        for place in self.columns.labels:
            try:
                labels.append(parse_number(record[place]))
            except ValueError:
                reason = f"column {self.header[place]!r}: {record[place]!r} is not a number"
                return Reject(number, smiles, "read", reason)
        name = record[self.columns.id].strip() if self.columns.id is not None else ""
        return InputRow(number, smiles, name or str(number), tuple(labels))


def read_table(uri: str, choice: ColumnChoice, store: Store = Store()) -> Table:
    """Open a table and find its columns.

    Args:
        uri: `.csv`, `.tsv`, `.smi` or `.smiles`, each also with `.gz`; a path or `s3://…`. SMILES files
            hold one molecule per line, after white space its name, and no header but `smiles …`.
        choice: Which columns; what it leaves open is guessed and logged.
        store: How S3 is reached.

    Raises:
        TableError: Unknown suffix, empty table, or columns that are missing or cannot be guessed.
        UserError: The file is missing or not readable.
    """
    kind = _format_of(uri)
    with _records(uri, kind, store) as records:
        header = list(_SMILES_FILE_HEADER) if kind == "smiles" else next(records, None)
        sample = list(islice(records, _SAMPLE_ROWS))
    if not header or not sample:
        raise TableError(f"{uri}: no molecule in it; a header and at least one row are needed")
    if kind == "smiles":
        columns = _smiles_file_columns(uri, choice)
    else:
        columns = choose_columns(header, sample, choice, uri)
    return Table(uri, tuple(header), columns, kind, store)


def _format_of(uri: str) -> Format:
    name = uri.lower().removesuffix(".gz")
    for suffix, kind in _FORMATS.items():
        if name.endswith(suffix):
            return kind
    raise TableError(f"{uri}: unknown kind of table; expected {', '.join(_FORMATS)}, each also with .gz")


def _smiles_file_columns(uri: str, choice: ColumnChoice) -> Columns:
    if choice.labels:
        raise TableError(f"{uri}: a SMILES file has no label columns; give a CSV or TSV")
    if choice.smiles or choice.id:
        raise TableError(
            f"{uri}: a SMILES file has no named columns; leave --smiles-column and --id-column out"
        )
    return Columns(smiles=0, id=1, labels=())


@contextmanager
def _records(uri: str, kind: Format, store: Store) -> Iterator[Iterator[list[str]]]:
    """The fields of every line that is not empty."""
    with store.open(uri) as raw:
        binary = gzip.GzipFile(fileobj=raw) if uri.lower().endswith(".gz") else raw
        # utf-8-sig: spreadsheets begin their CSV files with a byte order mark.
        with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
            lines = _smiles_lines(text) if kind == "smiles" else _separated(text, kind, uri)
            yield _readable(lines, uri)


def _separated(text: io.TextIOWrapper, kind: Format, uri: str) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(text, delimiter="\t" if kind == "tsv" else ",", strict=True)
    try:
        for record in reader:
            if record:
                yield record
    except csv.Error as error:
        raise TableError(
            f"{uri}: line {reader.line_num}: {error}; look for a quote too many or too few"
        ) from None


def _smiles_lines(text: io.TextIOWrapper) -> Iterator[list[str]]:
    for number, line in enumerate(text):
        fields = line.strip().split(maxsplit=1)
        if fields and not (number == 0 and fields[0].lower() == "smiles"):
            yield [fields[0], fields[1] if len(fields) > 1 else ""]


def _readable(records: Iterator[list[str]], uri: str) -> Iterator[list[str]]:
    try:
        yield from records
    except UnicodeDecodeError as error:
        raise TableError(f"{uri}: not text in UTF-8 ({error.reason}); save it as UTF-8") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TableError(f"{uri}: damaged gzip file: {error}") from None
