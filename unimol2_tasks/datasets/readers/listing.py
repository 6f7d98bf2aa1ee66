"""Which files a table consists of: one, those of a folder, or those that match a pattern."""

import glob
import hashlib
import logging
from pathlib import Path

from unimol2_tasks.artifacts.s3 import is_s3, open_s3, s3_errors
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.readers.formats import EXPECTED, format_of, has_format
from unimol2_tasks.errors import TableError

_LOGGER = logging.getLogger(__name__)
_SHOWN_FILES = 10


def table_files(uri: str, store: Store = Store()) -> tuple[str, ...]:
    """Every file of a table, in the order in which they are read: that of their names.

    Args:
        uri: A file, a folder (its own files, not those of folders inside) or a pattern like `data/*.csv`; a
            path or `s3://…`, where a folder ends with `/`. Hidden files and those of no known format are left
            out of folders and patterns; the log says which.
        store: How S3 is reached.

    Raises:
        TableError: No file of a known format, or files of several formats.
    """
    found = _on_s3(uri, store) if is_s3(uri) else _local(uri)
    if found is None:
        format_of(uri)
        return (uri,)
    visible = sorted(file for file in found if not _name(file).startswith("."))
    files = tuple(file for file in visible if has_format(file))
    ignored = [_name(file) for file in visible if not has_format(file)]
    if not files:
        beside = f"; found: {_shown(ignored)}" if ignored else ""
        raise TableError(f"{uri}: no table there; expected files that end in {EXPECTED}{beside}")
    if ignored:
        _LOGGER.warning("%s: ignored, not of a known format: %s", uri, _shown(ignored))
    _refuse_several_formats(uri, files)
    return files


def table_digest(uri: str, store: Store = Store()) -> str:
    """Hex sha256 of a table's content: of the file, or of the digests of its files in reading order.

    Raises:
        UserError: As `table_files`, or a file is missing.
    """
    digests = [store.digest(file) for file in table_files(uri, store)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _local(uri: str) -> list[str] | None:
    """The files of a folder or pattern; None where it is a single file."""
    path = Path(uri)
    if path.is_dir():
        return [str(file) for file in path.iterdir() if file.is_file()]
    if path.exists() or not glob.has_magic(uri):
        return None
    # Path.glob takes no absolute pattern.
    return [file for file in glob.glob(uri, recursive=True) if Path(file).is_file()]  # noqa: PTH207


def _on_s3(uri: str, store: Store) -> list[str] | None:
    if not glob.has_magic(uri) and not uri.endswith("/"):
        return None
    with s3_errors(uri):
        fs = open_s3(store.s3)
        keys = fs.glob(uri) if glob.has_magic(uri) else fs.find(uri, maxdepth=1)
    return [f"s3://{key}" for key in keys if not key.endswith("/")]


def _refuse_several_formats(uri: str, files: tuple[str, ...]) -> None:
    for file in files[1:]:
        if format_of(file) is not format_of(files[0]):
            raise TableError(
                f"{uri}: holds tables of several formats, {_name(files[0])} and {_name(file)}; "
                "choose one by a pattern such as *.csv"
            )


def _name(uri: str) -> str:
    return uri.rsplit("/", 1)[-1]


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN_FILES} more" if len(names) > _SHOWN_FILES else ""
    return ", ".join(names[:_SHOWN_FILES]) + more
