"""Artifacts that are one file, such as predictions, with their manifest beside them.

A single file appears in one step, so here the manifest comes first: an interruption leaves a manifest
without its file, which counts as nothing, and never a file of unknown origin.
"""

from pathlib import Path

from unimol2_tasks.artifacts.manifest import (
    MANIFEST,
    ArtifactRef,
    Manifest,
    Rows,
    build_manifest,
    dump,
    read_manifest,
)
from unimol2_tasks.artifacts.s3 import check_reachable, is_s3, open_s3, s3_errors
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.versions import code_version


def find_file(store: Store, recipe: Recipe, out: str) -> ArtifactRef | None:
    """The file at `out`, if it was made from this very recipe and is undamaged.

    Raises:
        ArtifactError: Something else is there already; it is never overwritten.
    """
    if not _exists(store, out):
        return None
    manifest = _manifest_of(store, out)
    if manifest is None:
        raise ArtifactError(
            f"{out}: exists and was not made by this command; choose another --out or remove it"
        )
    if manifest.fingerprint != recipe.fingerprint:
        raise ArtifactError(
            f"{out}: was made from other inputs, parameters or code; choose another --out or remove it"
        )
    _refuse_changed(store, out, manifest)
    return ArtifactRef(kind=manifest.kind, uri=out, digest=manifest.digest)


def verify_file(store: Store, uri: str) -> Manifest | None:
    """The manifest of the file at `uri` if the file is as it says; None where there is no manifest.

    Raises:
        ArtifactError: The file is missing or was changed.
    """
    manifest = _manifest_of(store, uri)
    if manifest is None:
        return None
    if not _exists(store, uri):
        raise ArtifactError(f"{uri}: missing, although its manifest is there; make it again")
    _refuse_changed(store, uri, manifest)
    return manifest


def publish_file(store: Store, draft: Path, out: str, recipe: Recipe, rows: Rows) -> ArtifactRef:
    """Write the manifest of a finished draft to `<out>.manifest.json`, then its single file to `out`.

    The file has to have the name that `out` ends with.
    """
    manifest = build_manifest(
        draft,
        recipe.kind,
        params=recipe.params,
        parents=recipe.parents,
        code_version=code_version(),
        rows=rows,
    )
    description = draft / MANIFEST
    description.write_text(dump(manifest), encoding="utf-8")
    store.put_file(description, f"{out}.{MANIFEST}")
    store.put_file(draft / manifest.files[0].path, out)
    return ArtifactRef(kind=manifest.kind, uri=out, digest=manifest.digest)


def _refuse_changed(store: Store, uri: str, manifest: Manifest) -> None:
    if store.digest(uri) != manifest.files[0].sha256:
        raise ArtifactError(f"{uri}: was changed since it was made; choose another --out or remove it")


def _exists(store: Store, out: str) -> bool:
    if not is_s3(out):
        return Path(out).exists()
    with s3_errors(out):
        fs = open_s3(store.s3)
        check_reachable(fs, out)
        return bool(fs.exists(out))


def _manifest_of(store: Store, out: str) -> Manifest | None:
    where = f"{out}.{MANIFEST}"
    if is_s3(out):
        with s3_errors(where):
            fs = open_s3(store.s3)
            return read_manifest(fs.cat_file(where), where) if fs.exists(where) else None
    path = Path(where)
    return read_manifest(path.read_bytes(), where) if path.is_file() else None
