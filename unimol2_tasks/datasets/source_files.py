"""Where the upstream files of a public data set are on this machine."""

import gzip
import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unimol2_tasks.artifacts.manifest import sha256_of
from unimol2_tasks.datasets.catalogue import PublicDataset, SourceFile
from unimol2_tasks.datasets.download import get_source_files
from unimol2_tasks.datasets.geometries import join_archive, table_ids
from unimol2_tasks.errors import UserError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The verified files of a data set; text may be packed with gzip, whatever it is called upstream."""

    table: Path
    extras: Mapping[str, Path]
    """By their names in the catalogue."""
    geometries: Path | None
    """All of them joined; see `datasets.geometries`."""


def downloaded_files(dataset: PublicDataset, folder: Path, mirror: str | None = None) -> SourceFiles:
    """The files that `get_dataset` keeps below `folder`; what is not there is downloaded.

    Raises:
        UserError: As `get_dataset`.
    """
    home = get_source_files(dataset.name, folder, mirror=mirror)
    return SourceFiles(
        home / dataset.table.filename,
        {file.filename: home / file.filename for file in dataset.extras},
        None if dataset.geometries is None else home / dataset.geometries.file,
    )


def local_files(dataset: PublicDataset, folder: Path, names: frozenset[str], work: Path) -> SourceFiles:
    """The files of a data set that lie anywhere below `folder`, under any name, known by size and sha256.

    Args:
        dataset: Of the catalogue.
        folder: Where a person keeps them.
        names: The extra files that are needed; others may be absent.
        work: A folder for the geometries of an archive.

    Raises:
        UserError: A file is not there.
    """
    found = _Folder(folder)
    extras = {file.filename: file for file in dataset.extras if file.filename in names}
    files = SourceFiles(
        found.find(dataset.table, dataset.name),
        {name: found.find(file, dataset.name) for name, file in extras.items()},
        None,
    )
    if dataset.geometries is None:
        return files
    return SourceFiles(files.table, files.extras, _geometries(dataset, files.table, found, work))


def _geometries(dataset: PublicDataset, table: Path, found: "_Folder", work: Path) -> Path:
    assert dataset.geometries is not None  # noqa: S101 - asked only of those that have some
    target = work / dataset.geometries.file
    if target.is_file() and sha256_of(target) == dataset.geometries.sha256:
        return target
    work.mkdir(parents=True, exist_ok=True)
    ids = table_ids(table, str(dataset.id_column))
    for archive in found.archives():
        if join_archive(dataset.geometries, ids, archive, target):
            return target
    raise UserError(
        f"{found.path}: no tar archive there holds {ids[0]}.xyz and the other geometries of {dataset.name}; "
        "leave --data out to download them"
    )


class _Folder:
    """Files below a folder by the size of their text."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; give --data FOLDER, or leave it out to download")
        self.path = path
        self._by_size: dict[int, list[Path]] = defaultdict(list)
        for file in sorted(path.rglob("*")):
            if file.is_file():
                for size in _sizes(file):
                    self._by_size[size].append(file)

    def find(self, wanted: SourceFile, dataset: str) -> Path:
        for file in self._by_size.get(wanted.size, ()):
            # Some are published packed, others are packed here.
            if sha256_of(file) == wanted.sha256 or _text_sha256(file) == wanted.sha256:
                return file
        raise UserError(
            f"{self.path}: {wanted.filename} of {dataset} is not there (by size {wanted.size:,} and sha256 "
            f"{wanted.sha256[:12]}…); leave --data out to download it"
        )

    def archives(self) -> Iterator[Path]:
        for file in sorted(self.path.rglob("*")):
            if file.name.endswith((".tar.gz", ".tgz", ".tar")):
                yield file


def _sizes(file: Path) -> list[int]:
    size = file.stat().st_size
    if file.suffix != ".gz" or size < 4:
        return [size]
    with file.open("rb") as stream:
        stream.seek(-4, 2)
        # RFC 1952: the last four bytes are the size before packing, modulo 2**32.
        return [size, struct.unpack("<I", stream.read())[0]]


def _text_sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
