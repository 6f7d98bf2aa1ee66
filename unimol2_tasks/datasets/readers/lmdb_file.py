"""The entries of an LMDB file, for any number of readers at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb

from unimol2_tasks.errors import TableError

_HEADER_PAGES = 2


@dataclass(slots=True)
class _Shared:
    """An open file and how many read it; LMDB refuses to open one twice in a process."""

    environment: Any
    readers: int = 0


_OPEN: dict[tuple[int, int], _Shared] = {}
_OPENING = threading.Lock()


@contextmanager
def lmdb_entries(path: Path, uri: str) -> Iterator[Iterator[tuple[bytes, bytes]]]:
    """Keys and values, in the order of the keys' bytes; nothing is written beside the file.

    Args:
        path: Where it lies.
        uri: What it is called in messages.

    Raises:
        TableError: It is no LMDB file, damaged or cut short.
    """
    try:
        with _environment(path) as environment:
            _refuse_cut_short(environment, path, uri)
            with environment.begin() as transaction:
                yield iter(transaction.cursor())
    except lmdb.Error as error:
        raise TableError(f"{uri}: no LMDB file, or a damaged one: {error}") from None


@contextmanager
def _environment(path: Path) -> Iterator[Any]:
    status = path.stat()
    file = (status.st_dev, status.st_ino)
    with _OPENING:
        if file not in _OPEN:
            # No lock: it may lie in a folder where nothing can be written.
            _OPEN[file] = _Shared(
                lmdb.open(str(path), subdir=False, readonly=True, lock=False, readahead=False)
            )
        shared = _OPEN[file]
        shared.readers += 1
    try:
        yield shared.environment
    finally:
        with _OPENING:
            shared.readers -= 1
            if not shared.readers:
                shared.environment.close()
                del _OPEN[file]


def _refuse_cut_short(environment: Any, path: Path, uri: str) -> None:
    # Reading a mapped page that is not in the file would end the process without a word.
    pages = max(environment.info()["last_pgno"] + 1, _HEADER_PAGES)
    expected = pages * environment.stat()["psize"]
    if path.stat().st_size < expected:
        raise TableError(f"{uri}: cut short: {path.stat().st_size} of {expected} bytes; copy it again")
