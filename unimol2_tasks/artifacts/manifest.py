"""The manifest: what an artifact is, written last, so that without it the artifact does not exist."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from unimol2_tasks.errors import ArtifactError

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
Kind = Literal["dataset", "model", "predictor", "search", "report", "predictions", "embeddings", "law"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FileEntry(_Frozen):
    """One file of an artifact."""

    path: str
    size: int
    sha256: str

    @field_validator("path")
    @classmethod
    def _stay_inside(cls, path: str) -> str:
        # A manifest may come from a bucket that others write to; it must not place files elsewhere.
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{path!r} leads out of the artifact")
        return path


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
    manifest = Manifest(
        kind=kind,
        digest="",
        files=tuple(_describe(folder, path) for path in _files_of(folder)),
        rows=rows,
        params=params,
        parents=parents,
        code_version=code_version,
        run=run or {},
    )
    return manifest.model_copy(update={"digest": _content_digest(manifest)})


def read_manifest(text: str | bytes, where: str) -> Manifest:
    """Parse a manifest.

    Raises:
        ArtifactError: It is not a manifest of this schema version, or was altered; names `where`.
    """
    try:
        version = json.loads(text).get("schema_version")
    except (ValueError, AttributeError):
        raise ArtifactError(f"{where}: damaged: not a manifest in JSON; make or download it again") from None
    if version != SCHEMA_VERSION:
        raise ArtifactError(
            f"{where}: schema version {version}, this release reads {SCHEMA_VERSION}; make it anew"
        )
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(f"{where}: not a valid manifest: {key}: {first['msg']}") from None
    if manifest.digest != _content_digest(manifest):
        raise ArtifactError(f"{where}: damaged: its digest does not fit its content; make it anew")
    return manifest


def verify_files(folder: Path, manifest: Manifest, where: str | None = None) -> None:
    """Check presence, size and hash of every file.

    Args:
        folder: Where the files are.
        manifest: What they must be.
        where: What messages call the folder; none: its path.

    Raises:
        ArtifactError: Names the first missing, truncated or altered file.
    """
    for entry in manifest.files:
        path, name = folder / entry.path, f"{where or folder}/{entry.path}"
        if not path.is_file():
            raise ArtifactError(f"{name}: missing, although the manifest lists it; make or download it again")
        size = path.stat().st_size
        if size != entry.size:
            raise ArtifactError(
                f"{name}: damaged: {size} bytes, the manifest says {entry.size}; make or download it again"
            )
        if sha256_of(path) != entry.sha256:
            raise ArtifactError(
                f"{name}: damaged: sha256 differs from the manifest; make or download it again"
            )


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def dump(manifest: Manifest) -> str:
    """The manifest as it is stored."""
    return json.dumps(manifest.model_dump(by_alias=True), indent=1, sort_keys=True) + "\n"


def _files_of(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)


def _describe(folder: Path, path: Path) -> FileEntry:
    return FileEntry(
        path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=sha256_of(path)
    )


def _content_digest(manifest: Manifest) -> str:
    """Digest of what an artifact is: not of when and where it was made."""
    return _digest_of(manifest.model_dump(mode="json", exclude={"digest", "rows", "run"}))


def _digest_of(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
