"""Verification of any artifact: manifest, hashes, tables."""

from collections.abc import Iterator

from unimol2_tasks.artifacts.single_file import verify_file
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.datasets.ledger import read_ledger
from unimol2_tasks.stages.prediction.verification import verify_predictions


def verify(uri: str, store: Store = Store()) -> Iterator[str]:
    """Check an artifact, a folder or a file such as predictions, and say what was found, line by line.

    Raises:
        ArtifactError: Something is missing, damaged or breaks its table's schema.
    """
    manifest = verify_file(store, uri)
    if manifest is None:
        artifact = store.fetch(uri)
        manifest = artifact.manifest
        if manifest.kind == "dataset":
            rejects = read_ledger(artifact.path / "rejects.csv")
            molecules = open_dataset(artifact.path)
            yield f"{len(molecules):,} molecules and {len(rejects):,} rejects, all tables valid"
    elif manifest.kind in ("predictions", "embeddings"):
        yield verify_predictions(store, uri, manifest)
    yield f"{manifest.kind} {manifest.digest}"
    yield f"made by unimol2-tasks {manifest.code_version}"
    size = sum(entry.size for entry in manifest.files)
    yield f"{len(manifest.files)} files, {size:,} bytes, all as the manifest says"
    if manifest.rows is not None:
        rows = manifest.rows
        yield f"rows: {rows.rows_in:,} in = {rows.out:,} out + {rows.rejects:,} rejects"
    for name, digest in manifest.parents.items():
        yield f"made from {name} {digest}"
