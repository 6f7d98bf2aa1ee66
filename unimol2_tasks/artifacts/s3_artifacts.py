"""Artifacts on S3: `<prefix>/<kind>/<digest>/`, the manifest last and created once."""

from pathlib import Path

from unimol2_tasks.artifacts.drafts import draft_in, sync_tree
from unimol2_tasks.artifacts.manifest import (
    MANIFEST,
    ArtifactRef,
    Kind,
    Manifest,
    dump,
    read_manifest,
    verify_files,
)
from unimol2_tasks.artifacts.s3 import S3Options, check_reachable, create_object, open_s3, s3_errors
from unimol2_tasks.errors import ArtifactError


def publish(options: S3Options, draft: Path, out: str, manifest: Manifest) -> ArtifactRef:
    """Upload a draft below the prefix `out`; a second publisher of the same content is content with it."""
    uri = f"{out.rstrip('/')}/{manifest.kind}/{manifest.digest}"
    with s3_errors(uri):
        fs = open_s3(options)
        if not fs.exists(f"{uri}/{MANIFEST}"):
            for entry in manifest.files:
                fs.put_file(str(draft / entry.path), f"{uri}/{entry.path}")
            # Whoever was first has published the same content: its digest is in the key.
            create_object(fs, f"{uri}/{MANIFEST}", dump(manifest).encode())
    return ArtifactRef(kind=manifest.kind, uri=uri, digest=manifest.digest)


def find(options: S3Options, out: str, kind: Kind, fingerprint: str) -> ArtifactRef | None:
    """The artifact below the prefix `out` that was made from the recipe with this fingerprint."""
    with s3_errors(out):
        fs = open_s3(options)
        check_reachable(fs, out)
        for key in fs.glob(f"{out.rstrip('/')}/{kind}/*/{MANIFEST}"):
            manifest = read_manifest(fs.cat_file(key), f"s3://{key}")
            if manifest.fingerprint == fingerprint:
                return ArtifactRef(kind=manifest.kind, uri=_folder_of(key), digest=manifest.digest)
    return None


def resolve(options: S3Options, uri: str, kind: Kind | None) -> str:
    """The address of an artifact, from its own or from a prefix that holds just one.

    Raises:
        ArtifactError: There is none, or more than one.
    """
    uri = uri.rstrip("/")
    with s3_errors(uri):
        fs = open_s3(options)
        check_reachable(fs, uri)
        if fs.exists(f"{uri}/{MANIFEST}"):
            return uri
        found = sorted(_folder_of(key) for key in fs.glob(f"{uri}/{kind or '*'}/*/{MANIFEST}"))
    if len(found) == 1:
        return found[0]
    if found:
        raise ArtifactError(f"{uri}: holds {len(found)} artifacts; name one of: {', '.join(found[:5])}")
    raise ArtifactError(f"{uri}: no {kind or 'artifact'} there (no {MANIFEST})")


def download(options: S3Options, uri: str, cache: Path) -> Path:
    """A verified copy of the artifact at `uri`, in `cache`."""
    with s3_errors(uri):
        fs = open_s3(options)
        text = fs.cat_file(f"{uri}/{MANIFEST}")
    manifest = read_manifest(text, f"{uri}/{MANIFEST}")
    target = cache / manifest.kind / manifest.digest
    if (target / MANIFEST).is_file():
        return target
    with draft_in(target.parent) as draft:
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


def _folder_of(manifest_key: str) -> str:
    return f"s3://{manifest_key.removesuffix('/' + MANIFEST)}"
