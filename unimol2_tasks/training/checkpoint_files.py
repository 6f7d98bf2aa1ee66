"""What a checkpoint is on disk: the files of all ranks, and a manifest, written last, that lists them."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from unimol2_tasks.artifacts.drafts import sync, sync_tree
from unimol2_tasks.artifacts.manifest import MANIFEST, FileEntry, sha256_of
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.training.job import write_json

_RECORDS = ".records"


class CheckpointManifest(BaseModel):
    """What a checkpoint holds and how it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    """Optimiser steps taken."""
    ranks: int
    zero_stage: int
    """The stage that DeepSpeed ran with."""
    precision: str
    """fp32, bf16 or fp16."""
    best_step: int = -1
    """The step of the best validation until then; -1: none."""
    files: tuple[FileEntry, ...] = ()

    def text(self) -> str:
        """The manifest as it is stored, with a digest of its own content."""
        content = self.model_dump(mode="json")
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return json.dumps({"digest": digest, **content}, indent=1, sort_keys=True) + "\n"


def record_files(folder: Path, rank: int, files: Iterable[Path]) -> None:
    """Hash one rank's files, force them to the disk, and leave a record of them for the first rank."""
    entries = []
    for path in files:
        entries.append(_describe(folder, path))
        sync(path)
    records = folder / _RECORDS
    records.mkdir(exist_ok=True)
    write_json(_record(folder, rank), {"files": [entry.model_dump() for entry in entries]})


def all_recorded(folder: Path, ranks: int) -> bool:
    """Whether every rank has left its record."""
    return all(_record(folder, rank).exists() for rank in range(ranks))


def seal(folder: Path, manifest: CheckpointManifest) -> None:
    """Write the manifest over what the ranks recorded, and force everything to the disk.

    Files that no rank recorded are hashed here: DeepSpeed adds scripts that recover the weights.

    Args:
        folder: The unfinished checkpoint.
        manifest: What is known of it besides its files.
    """
    entries: dict[str, FileEntry] = {}
    for rank in range(manifest.ranks):
        record = json.loads(_record(folder, rank).read_text(encoding="utf-8"))
        entries |= {entry["path"]: FileEntry.model_validate(entry) for entry in record["files"]}
    shutil.rmtree(folder / _RECORDS)
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in entries:
            entries[name] = _describe(folder, path)
    whole = manifest.model_copy(update={"files": tuple(entries[name] for name in sorted(entries))})
    (folder / MANIFEST).write_text(whole.text(), encoding="utf-8")
    sync_tree(folder)


def read_manifest(checkpoint: Path) -> CheckpointManifest:
    """The manifest of a checkpoint.

    Raises:
        ArtifactError: It is missing, or a byte of it is not as it was written.
    """
    try:
        text = (checkpoint / MANIFEST).read_bytes()
        content: dict[str, Any] = json.loads(text)
        content.pop("digest")
        manifest = CheckpointManifest.model_validate(content)
    except OSError as error:
        raise ArtifactError(f"its manifest cannot be read ({error.strerror})") from None
    except (ValueError, AttributeError, LookupError, TypeError, ValidationError):
        raise ArtifactError("its manifest cannot be read (it is not one of this release)") from None
    if manifest.text().encode() != text:
        raise ArtifactError("its manifest is damaged")
    return manifest


def damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or None if every file is as it was written."""
    try:
        manifest = read_manifest(checkpoint)
    except ArtifactError as error:
        return str(error)
    for entry in manifest.files:
        path = checkpoint / entry.path
        if not path.is_file():
            return f"{entry.path} is missing"
        if path.stat().st_size != entry.size or sha256_of(path) != entry.sha256:
            return f"{entry.path} is damaged"
    return None


def _record(folder: Path, rank: int) -> Path:
    return folder / _RECORDS / f"rank-{rank:05d}.json"


def _describe(folder: Path, path: Path) -> FileEntry:
    name = path.relative_to(folder).as_posix()
    return FileEntry(path=name, size=path.stat().st_size, sha256=sha256_of(path))
