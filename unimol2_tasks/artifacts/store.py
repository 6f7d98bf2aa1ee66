"""Where artifacts live: a folder or S3, complete or absent, verified on every read."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from unimol2_tasks.artifacts.manifest import (
    MANIFEST,
    ArtifactRef,
    Kind,
    Manifest,
    Rows,
    build_manifest,
    dump,
    fingerprint,
    read_manifest,
    verify_files,
)
from unimol2_tasks.artifacts.s3 import (
    S3Options,
    check_reachable,
    create_object,
    is_s3,
    open_s3,
    s3_errors,
)
from unimol2_tasks.errors import ArtifactError, UserError
from unimol2_tasks.versions import code_version


@dataclass(frozen=True, slots=True)
class LocalArtifact:
    """A verified artifact on this machine."""

    path: Path
    uri: str
    manifest: Manifest

    @property
    def ref(self) -> ArtifactRef:
        """What to pass on."""
        return ArtifactRef(kind=self.manifest.kind, uri=self.uri, digest=self.manifest.digest)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What determines an artifact before it is made."""

    kind: Kind
    params: dict[str, Any]
    parents: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Digest over kind, parameters, parents and code: the run-key of whoever makes it."""
        return fingerprint(self.kind, self.params, self.parents, code_version())


@dataclass(frozen=True, slots=True)
class Store:
    """Publishes and fetches artifacts.

    Attributes:
        s3: How `s3://` is reached.
        cache: Where artifacts from S3 are kept once they are downloaded and verified.
    """

    s3: S3Options = field(default_factory=S3Options)
    cache: Path = Path(".unimol2/cache")

    def find(self, recipe: Recipe, out: str) -> ArtifactRef | None:
        """The artifact at `out`, if it was made from this very recipe.

        Raises:
            ArtifactError: Something else is there already; it is never overwritten.
        """
        if is_s3(out):
            return self._find_on_s3(recipe, out)
        folder = Path(out)
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return None
        if not (folder / MANIFEST).is_file():
            raise ArtifactError(f"{out}: exists and is no artifact; choose another --out or remove it")
        artifact = self.fetch(out)
        if artifact.manifest.fingerprint != recipe.fingerprint:
            raise ArtifactError(
                f"{out}: holds a {artifact.manifest.kind} made from other inputs, parameters or code; "
                "choose another --out or remove it"
            )
        return artifact.ref

    def work_folder(self, out: str, recipe: Recipe) -> Path:
        """Where an interrupted run leaves what its next start continues from; keyed by the recipe.

        It lies beside `out`, never inside: `dvc repro` removes a stage's outputs before it starts.
        """
        parent = self.cache.parent if is_s3(out) else Path(out).parent
        return parent.absolute() / ".work" / f"{recipe.kind}-{recipe.fingerprint[:16]}"

    @contextmanager
    def draft(self, out: str) -> Iterator[Path]:
        """A folder to write into, gone afterwards unless `publish` moved it to `out`."""
        parent = Path(out).absolute().parent if not is_s3(out) else self.cache.absolute()
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".draft-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(
        self,
        draft: Path,
        out: str,
        recipe: Recipe,
        rows: Rows | None = None,
        run: dict[str, Any] | None = None,
    ) -> ArtifactRef:
        """Make a finished draft visible at `out`, in one step, manifest last.

        On S3 it lies under `<out>/<kind>/<digest>/` and the manifest is created once: a second publisher
        of the same content finds it and is content.
        """
        manifest = build_manifest(
            draft,
            recipe.kind,
            params=recipe.params,
            parents=recipe.parents,
            code_version=code_version(),
            rows=rows,
            run=run,
        )
        if is_s3(out):
            return self._publish_on_s3(draft, out, manifest)
        (draft / MANIFEST).write_text(dump(manifest), encoding="utf-8")
        draft.chmod(0o755)
        sync_tree(draft)
        target = Path(out).absolute()
        try:
            draft.rename(target)
        except OSError:
            raise ArtifactError(f"{out}: appeared while it was being made; choose another --out") from None
        _sync(target.parent)
        return ArtifactRef(kind=manifest.kind, uri=str(out), digest=manifest.digest)

    def fetch(self, uri: str, kind: Kind | None = None, digest: str | None = None) -> LocalArtifact:
        """A verified local copy of the artifact at `uri`.

        Args:
            uri: A folder, `s3://…/<kind>/<digest>`, or an S3 prefix that holds just one such artifact.
            kind: What it must be; none: anything.
            digest: What its content must be; none: anything.

        Raises:
            ArtifactError: It is missing, incomplete, damaged, of another kind or of another digest.
        """
        if is_s3(uri):
            uri = self._resolve(uri, kind)
            folder = self._download(uri)
        else:
            folder = Path(uri)
            if not (folder / MANIFEST).is_file():
                what = kind or "artifact"
                raise ArtifactError(
                    f"{uri}: no {what} there (no {MANIFEST}); it was never finished, or the path is wrong"
                )
        manifest = read_manifest((folder / MANIFEST).read_bytes(), f"{folder / MANIFEST}")
        if kind is not None and manifest.kind != kind:
            raise ArtifactError(f"{uri}: is a {manifest.kind}, expected a {kind}")
        if digest is not None and manifest.digest != digest:
            raise ArtifactError(
                f"{uri}: holds {manifest.digest[:12]}, expected {digest[:12]}; it was replaced"
            )
        verify_files(folder, manifest)
        return LocalArtifact(folder, uri, manifest)

    def open(self, uri: str) -> IO[bytes]:
        """A single file, local or on S3, for streaming.

        Raises:
            UserError: It is missing or not readable.
        """
        if is_s3(uri):
            with s3_errors(uri):
                stream: IO[bytes] = open_s3(self.s3).open(uri, "rb")
            return stream
        try:
            return Path(uri).open("rb")
        except OSError as error:
            raise UserError(f"{uri}: cannot be read: {error.strerror}") from None

    def digest(self, uri: str) -> str:
        """Hex sha256 of a single file, read as a stream.

        Raises:
            UserError: It is missing or not readable.
        """
        with s3_errors(uri) if is_s3(uri) else nullcontext(), self.open(uri) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]

    def put_file(self, source: Path, out: str) -> None:
        """Publish a single file at `out` in one step."""
        if is_s3(out):
            with s3_errors(out):
                open_s3(self.s3).put_file(str(source), out)
            return
        target = Path(out).absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        shutil.copyfile(source, partial)
        _sync(partial)
        partial.replace(target)
        _sync(target.parent)

    def _publish_on_s3(self, draft: Path, out: str, manifest: Manifest) -> ArtifactRef:
        uri = f"{out.rstrip('/')}/{manifest.kind}/{manifest.digest}"
        with s3_errors(uri):
            fs = open_s3(self.s3)
            if not fs.exists(f"{uri}/{MANIFEST}"):
                for entry in manifest.files:
                    fs.put_file(str(draft / entry.path), f"{uri}/{entry.path}")
                # Whoever was first has published the same content: its digest is in the key.
                create_object(fs, f"{uri}/{MANIFEST}", dump(manifest).encode())
        return ArtifactRef(kind=manifest.kind, uri=uri, digest=manifest.digest)

    def _find_on_s3(self, recipe: Recipe, out: str) -> ArtifactRef | None:
        with s3_errors(out):
            fs = open_s3(self.s3)
            check_reachable(fs, out)
            for key in fs.glob(f"{out.rstrip('/')}/{recipe.kind}/*/{MANIFEST}"):
                uri = f"s3://{key.removesuffix('/' + MANIFEST)}"
                manifest = read_manifest(fs.cat_file(key), f"s3://{key}")
                if manifest.fingerprint == recipe.fingerprint:
                    return ArtifactRef(kind=manifest.kind, uri=uri, digest=manifest.digest)
        return None

    def _resolve(self, uri: str, kind: Kind | None) -> str:
        uri = uri.rstrip("/")
        with s3_errors(uri):
            fs = open_s3(self.s3)
            check_reachable(fs, uri)
            if fs.exists(f"{uri}/{MANIFEST}"):
                return uri
            found = [
                f"s3://{key.removesuffix('/' + MANIFEST)}"
                for key in fs.glob(f"{uri}/{kind or '*'}/*/{MANIFEST}")
            ]
        if len(found) == 1:
            return str(found[0])
        if found:
            raise ArtifactError(
                f"{uri}: holds {len(found)} artifacts; name one of: {', '.join(sorted(found)[:5])}"
            )
        raise ArtifactError(f"{uri}: no {kind or 'artifact'} there (no {MANIFEST})")

    def _download(self, uri: str) -> Path:
        with s3_errors(uri):
            fs = open_s3(self.s3)
            text = fs.cat_file(f"{uri}/{MANIFEST}")
            manifest = read_manifest(text, f"{uri}/{MANIFEST}")
            target = self.cache.absolute() / manifest.kind / manifest.digest
        if (target / MANIFEST).is_file():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.draft(str(target)) as draft:
            for entry in manifest.files:
                local = draft / entry.path
                local.parent.mkdir(parents=True, exist_ok=True)
                with s3_errors(f"{uri}/{entry.path}"):
                    fs.get_file(f"{uri}/{entry.path}", str(local))
            verify_files(draft, manifest, uri)
            (draft / MANIFEST).write_bytes(text)
            sync_tree(draft)
            try:
                draft.rename(target)
            except OSError:
                # Another process has fetched the same artifact meanwhile.
                if not (target / MANIFEST).is_file():
                    raise
        return target


def sync_tree(folder: Path) -> None:
    """Force every file and folder below `folder` to the disk."""
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
