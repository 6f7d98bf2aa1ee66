"""Geometries that a data set publishes beside its table: one XYZ file per molecule, joined into one file."""

import tarfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

import httpx
import polars as pl

from unimol2_tasks.artifacts.drafts import sync
from unimol2_tasks.artifacts.manifest import sha256_of
from unimol2_tasks.datasets.catalogue import Geometries
from unimol2_tasks.datasets.transfer import DownloadFailed, Patience, mirrored
from unimol2_tasks.errors import TableError, UserError
from unimol2_tasks.progress import report

_HEADER_LINES = 2


def download_geometries(
    client: httpx.Client,
    wanted: Geometries,
    ids: Sequence[str],
    target: Path,
    mirror: str | None,
    patience: Patience,
) -> None:
    """Fetch the file of every molecule, in the order of `ids`, unless all are in `target` already.

    Raises:
        UserError: Something else is at `target`.
        DownloadFailed: A file cannot be had, or they are not what the catalogue names.
    """
    if target.is_file():
        if sha256_of(target) != wanted.sha256:
            raise UserError(
                f"{target}: is not what the catalogue names; move it away, or choose another --out"
            )
        return
    part = target.with_name(f"{target.name}.part")
    done = _keep_whole_files(part)
    with part.open("ab") as stream:
        for number, name in enumerate(islice(ids, done, None), start=done):
            report(target.name, number, len(ids))
            stream.write(_fetch(client, mirrored(wanted.url.format(id=name), mirror), patience))
            stream.flush()
    _accept(part, target, wanted)


def join_archive(wanted: Geometries, ids: Sequence[str], archive: Path, target: Path) -> bool:
    """Join the files `ID.xyz` of a tar archive, in the order of `ids`.

    Returns:
        Whether `target` is there now; False where the archive lacks the file of a molecule.

    Raises:
        DownloadFailed: The files are not what the catalogue names.
    """
    names = [f"{name}.xyz" for name in ids]
    contents = _contents(archive, frozenset(names))
    if len(contents) < len(names):
        return False
    part = target.with_name(f"{target.name}.part")
    with part.open("wb") as stream:
        stream.writelines(contents[name] for name in names)
    _accept(part, target, wanted)
    return True


def _contents(archive: Path, names: frozenset[str]) -> dict[str, bytes]:
    """The files of these names, wherever in the archive, read once from its beginning to its end."""
    contents = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = PurePosixPath(member.name).name
            stream = tar.extractfile(member) if name in names else None
            if stream is not None:
                contents[name] = stream.read()
    return contents


def read_geometries(path: Path) -> Iterator[str]:
    """The XYZ text of every molecule of a joined file, in order.

    Raises:
        TableError: It ends within a molecule, or a molecule does not begin with its number of atoms.
    """
    # Untranslated: who counts its bytes finds those of the file, also where lines end in CRLF.
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, first in enumerate(lines, start=1):
            if not first.strip().isdecimal():
                raise TableError(
                    f"{path}: molecule {number}: expected its number of atoms, got {first!r:.60}"
                )
            rest = list(islice(lines, int(first) + _HEADER_LINES - 1))
            if len(rest) < int(first) + _HEADER_LINES - 1:
                raise TableError(f"{path}: molecule {number}: the file ends within it")
            yield first + "".join(rest)


def table_ids(table: Path, column: str) -> list[str]:
    """The identifiers of a CSV table, in its order."""
    ids: list[str] = pl.read_csv(table, columns=[column], infer_schema=False)[column].to_list()
    return ids


def _keep_whole_files(part: Path) -> int:
    """How many molecules an interruption left; what it began, even all but a newline, is cut off."""
    if not part.is_file():
        return 0
    whole, size = 0, 0
    try:
        for text in read_geometries(part):
            if not text.endswith("\n"):
                break
            whole, size = whole + 1, size + len(text.encode())
    except TableError:
        pass
    with part.open("r+b") as stream:
        stream.truncate(size)
    return whole


def _fetch(client: httpx.Client, url: str, patience: Patience) -> bytes:
    failures = 0
    while True:
        try:
            return client.get(url).raise_for_status().content
        except httpx.HTTPError as problem:
            failures += 1
            if failures >= patience.failures:
                raise DownloadFailed(f"{url}: {problem}; run the same command again to go on") from None
            time.sleep(patience.wait(failures))


def _accept(part: Path, target: Path, wanted: Geometries) -> None:
    found = sha256_of(part)
    if found != wanted.sha256:
        part.unlink()
        raise DownloadFailed(
            f"{target}: the geometries are not what the catalogue names: expected sha256 "
            f"{wanted.sha256}, got {found}; they are removed"
        )
    sync(part)
    part.replace(target)
    sync(target.parent)
