"""The manifest: what an artifact is, written last, so that without it the artifact does not exist."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unimol2_tasks.errors import ArtifactError

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
Kind = Literal["dataset", "model", "predictor", "report", "predictions", "embeddings", "law"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FileEntry(_Frozen):
    """One file of an artifact."""

    path: str
    size: int
    sha256: str


class Rows(_Frozen):
    """Where the rows of the input went; `in = out + rejects` always holds."""

    rows_in: int = Field(alias="in")
    out: int
    rejects: int


class ArtifactRef(_Frozen):
    """What tasks pass to each other: where an artifact is and what it must be."""

    kind: str
    uri: str
    digest: str


class Manifest(_Frozen):
    """What an artifact is and what it was made from."""

    kind: Kind
    schema_version: int = SCHEMA_VERSION
    digest: str
    files: tuple[FileEntry, ...]
    rows: Rows | None = None
    params: dict[str, Any] = {}
    code_version: str
    parents: dict[str, str] = {}
    """Name to digest of what it was made from."""
    run: dict[str, Any] = {}
    """What happened while it was made (times, machine); no part of the digest."""

    @property
    def fingerprint(self) -> str:
        """Digest of what determines the artifact before it is made: parameters, parents and code."""
        return fingerprint(self.kind, self.params, self.parents, self.code_version)


def fingerprint(kind: str, params: dict[str, Any], parents: dict[str, str], code_version: str) -> str:
    """Digest of everything that determines an artifact of `kind`, known before it is made."""
    return _digest_of({"kind": kind, "params": params, "parents": parents, "code_version": code_version})


def build_manifest(
    folder: Path,
    kind: Kind,
    *,
    params: dict[str, Any],
    parents: dict[str, str],
    code_version: str,
    rows: Rows | None = None,
    run: dict[str, Any] | None = None,
) -> Manifest:
    """Describe the files of a finished folder.

    Raises:
        ArtifactError: `rows.in` differs from `rows.out + rows.rejects`: rows were lost.
    """
    if rows is not None and rows.rows_in != rows.out + rows.rejects:
        raise ArtifactError(
            f"rows were lost: {rows.rows_in} went in, {rows.out} came out, {rows.rejects} were rejected"
        )
    entries = tuple(_describe(folder, path) for path in _files_of(folder))
    content = {
        "kind": kind,
        "schema_version": SCHEMA_VERSION,
        "files": [entry.model_dump() for entry in entries],
        "params": params,
        "parents": parents,
        "code_version": code_version,
    }
    return Manifest(
        kind=kind,
        digest=_digest_of(content),
        files=entries,
        rows=rows,
        params=params,
        parents=parents,
        code_version=code_version,
        run=run or {},
    )


def read_manifest(text: str, where: str) -> Manifest:
    """Parse a manifest.

    Raises:
        ArtifactError: It is not a manifest of this schema version; names `where`.
    """
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(f"{where}: not a valid manifest: {key}: {first['msg']}") from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise ArtifactError(
            f"{where}: schema version {manifest.schema_version}, "
            f"this release reads {SCHEMA_VERSION}; make it anew"
        )
    return manifest


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Check presence, size and hash of every file.

    Raises:
        ArtifactError: Names the first missing, truncated or altered file.
    """
    for entry in manifest.files:
        path = folder / entry.path
        if not path.is_file():
            raise ArtifactError(f"{path}: missing, although the manifest lists it; make or download it again")
        size = path.stat().st_size
        if size != entry.size:
            raise ArtifactError(
                f"{path}: damaged: {size} bytes, the manifest says {entry.size}; make or download it again"
            )
        if sha256_of(path) != entry.sha256:
            raise ArtifactError(
                f"{path}: damaged: sha256 differs from the manifest; make or download it again"
            )


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def dump(manifest: Manifest) -> str:
    """The manifest as it is stored."""
    return json.dumps(manifest.model_dump(by_alias=True), indent=1, sort_keys=True) + "\n"


def _files_of(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def _describe(folder: Path, path: Path) -> FileEntry:
    return FileEntry(
        path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=sha256_of(path)
    )


def _digest_of(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
