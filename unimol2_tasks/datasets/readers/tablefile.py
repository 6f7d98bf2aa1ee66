"""One file of a table: opened where it lies, unpacked and decoded as it is read."""

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TextIO, cast

from unimol2_tasks.artifacts.s3 import is_s3, s3_errors
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.errors import TableError

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_COPIED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file by its path or `s3://…`; a name that ends in `.gz` is unpacked."""

    uri: str
    store: Store = field(repr=False)

    @property
    def packed(self) -> bool:
        """Whether it is gzipped, by its name."""
        return self.uri.lower().endswith(".gz")

    @contextmanager
    def binary(self) -> Iterator[IO[bytes]]:
        """Its bytes, unpacked.

        Raises:
            UserError: It is missing or not readable.
            TableError: Its gzip data is damaged or cut short.
        """
        with s3_errors(self.uri) if is_s3(self.uri) else nullcontext(), self.store.open(self.uri) as raw:
            if not self.packed:
                yield raw
                return
            try:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast(IO[bytes], unpacked)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise TableError(f"{self.uri}: damaged gzip file: {error}") from None

    @contextmanager
    def text(self, newline: str | None = None) -> Iterator[TextIO]:
        """Its text: UTF-8 with or without a byte order mark, or UTF-16 with one.

        Bytes that are not UTF-8 come through as lone surrogates, so that they cost their row only; see
        `records.damage`.

        Args:
            newline: As `open`'s.

        Raises:
            TableError: As `binary`; or UTF-16 that is damaged.
        """
        with self.binary() as binary:
            buffered = io.BufferedReader(cast(io.RawIOBase, binary))
            wide = buffered.peek(2)[:2] in _UTF16_MARKS
            # utf-8-sig: spreadsheets begin their CSV files with a byte order mark.
            encoding, errors = ("utf-16", "strict") if wide else ("utf-8-sig", "surrogateescape")
            try:
                with io.TextIOWrapper(buffered, encoding=encoding, errors=errors, newline=newline) as text:
                    yield text
            except UnicodeDecodeError as error:
                raise TableError(
                    f"{self.uri}: damaged UTF-16 ({error.reason}); save the file as UTF-8"
                ) from None

    @contextmanager
    def local(self) -> Iterator[Path]:
        """A path to its unpacked bytes: itself, or a temporary copy of what is on S3 or gzipped.

        Raises:
            UserError: As `binary`.
        """
        if not self.packed and not is_s3(self.uri):
            self.store.open(self.uri).close()
            yield Path(self.uri)
            return
        with tempfile.TemporaryDirectory(prefix="unimol2-table-") as folder:
            copy = Path(folder) / "table"
            with self.binary() as binary, copy.open("wb") as target:
                shutil.copyfileobj(binary, target, _COPIED_AT_ONCE)
            yield copy
