"""Datasets laid out for random access: shards as uncompressed Arrow files, the index as numpy arrays.

Made once per dataset and machine from its Parquet files, which are validated on the way, and then mapped into
memory: a molecule is read where it lies, and all processes of a machine share what is in memory.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from unimol2_tasks.artifacts.manifest import MANIFEST, Manifest, read_manifest, sha256_of, verify_files
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.datasets.arrow_files import batch_lengths, convert_shard, label_names
from unimol2_tasks.datasets.parquet_tables import read_index
from unimol2_tasks.datasets.shards import MOLECULES_FOLDER
from unimol2_tasks.errors import ArtifactError

CONTENTS = "contents.json"
_VERSION = 1


class ArrowShard(BaseModel):
    """One Arrow file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    batches: tuple[int, ...]
    """Molecules of each of its record batches."""


class ArrowContents(BaseModel):
    """What lies in a folder of the cache; written last, so that without it the folder is unfinished."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label_names: tuple[str, ...]
    shards: tuple[ArrowShard, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """A dataset's folder, and what its content is known by."""

    folder: Path
    digest: str
    manifest: Manifest | None


def arrow_folder(dataset: Path, cache: Path | None = None) -> Path:
    """The dataset's folder in the cache, made if it is not there.

    Several processes may ask at once; one makes it, the others wait. A maker that is killed leaves what its
    successor goes on from.

    Args:
        dataset: A dataset's folder; only read, if it holds a manifest.
        cache: As `open_dataset` explains.

    Raises:
        ArtifactError: A file of the dataset is missing, damaged or of another version, or there is no place
            for the cache.
    """
    source = _identify(dataset)
    name = f"v{_VERSION}-{source.digest}"
    folders = [place / name for place in ([cache] if cache is not None else _places(source))]
    for folder in folders:
        if (folder / CONTENTS).is_file():
            return folder
    problems = []
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _sole_maker(folder):
                if not (folder / CONTENTS).is_file():
                    _make(source, folder)
        except OSError as error:
            problems.append(f"{error.filename or folder}: {error.strerror}")
        else:
            return folder
    raise ArtifactError(
        f"{dataset}: no place for its memory-mapped form, which is about as large as the dataset unpacked "
        f"({'; '.join(problems)}); make room, or give another folder for it"
    )


def _identify(folder: Path) -> _Source:
    path = folder / MANIFEST
    if path.is_file():
        manifest = read_manifest(path.read_bytes(), str(path))
        if not all(_has_size(folder / entry.path, entry.size) for entry in manifest.files):
            verify_files(folder, manifest)
        return _Source(folder, manifest.digest, manifest)
    files = sorted([*folder.glob("*.parquet"), *(folder / MOLECULES_FOLDER).glob("*.parquet")])
    if not files:
        raise ArtifactError(f"{folder}: no dataset there; it was never finished, or the path is wrong")
    content = "".join(f"{file.relative_to(folder)} {sha256_of(file)}\n" for file in files)
    return _Source(folder, hashlib.sha256(content.encode()).hexdigest(), None)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _places(source: _Source) -> list[Path]:
    folder = source.folder.absolute()
    # Nothing is added to an artifact. What is none yet is somebody's work, and goes together with it.
    beside = folder / ".arrow" if source.manifest is None else folder.parent / ".work" / "arrow"
    return [beside, Path.home() / ".cache" / "unimol2" / "arrow"]


@contextmanager
def _sole_maker(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as handle:
        # Without a lock, as on some file systems of clusters, the work is done twice, to the same bytes.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _make(source: _Source, folder: Path) -> None:
    if source.manifest is not None:
        verify_files(source.folder, source.manifest)
    index = read_index(source.folder)
    files = Workspace(str(folder), Store())
    finished = files.finished()
    molecules = source.folder / MOLECULES_FOLDER
    labels = label_names(molecules / index.shards[0][0])
    shards = []
    first = 0
    for shard, rows in index.shards:
        name = f"{Path(shard).stem}.arrow"
        if name not in finished:
            with files.new(name) as path:
                convert_shard(molecules / shard, path, labels, index.columns["atoms"][first : first + rows])
        shards.append(ArrowShard(name=name, batches=batch_lengths(folder / name)))
        first += rows
    for column, values in index.columns.items():
        with files.new(column_file(column)) as path:
            np.save(path, values.astype(np.int64))
    with files.new(CONTENTS) as path:
        contents = ArrowContents(label_names=labels, shards=tuple(shards))
        path.write_text(contents.model_dump_json(indent=1) + "\n", encoding="utf-8")


def column_file(column: str) -> str:
    """The file of a column of `DatasetIndex`, int64."""
    return f"{column}.npy"
