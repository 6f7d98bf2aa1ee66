"""Where artifacts live: a folder or S3, complete or absent, verified on every read."""

import hashlib
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from unimol2_tasks.artifacts import s3_artifacts
from unimol2_tasks.artifacts.drafts import draft_in, open_to_readers, sync, sync_tree
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
from unimol2_tasks.artifacts.s3 import S3Options, is_s3, open_s3, s3_errors
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
            return s3_artifacts.find(self.s3, out, recipe.kind, recipe.fingerprint)
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

    def draft(self, out: str) -> AbstractContextManager[Path]:
        """A folder to write into, gone afterwards unless `publish` moved it to `out`."""
        return draft_in(self.cache.absolute() if is_s3(out) else Path(out).absolute().parent)

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
            return s3_artifacts.publish(self.s3, draft, out, manifest)
        (draft / MANIFEST).write_text(dump(manifest), encoding="utf-8")
        open_to_readers(draft)
        sync_tree(draft)
        target = Path(out).absolute()
        try:
            draft.rename(target)
        except OSError:
            raise ArtifactError(f"{out}: appeared while it was being made; choose another --out") from None
        sync(target.parent)
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
            uri = s3_artifacts.resolve(self.s3, uri, kind)
            folder = s3_artifacts.download(self.s3, uri, self.cache.absolute())
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
        sync(partial)
        partial.replace(target)
        sync(target.parent)
