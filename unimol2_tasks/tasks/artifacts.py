"""How tasks are cached, and how they read what other tasks made."""

from typing import Any

from prefect.artifacts import create_table_artifact

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.blocks import ArtifactStore, store_of
from unimol2_tasks.summaries import metric_rows
from unimol2_tasks.task_cache import cache_key

CACHED: dict[str, Any] = {
    "cache_key_fn": cache_key,
    "persist_result": True,
    # The default is pickle.
    "result_serializer": "json",
}
"""Options of every task that makes an artifact."""


def fetch(ref: ArtifactRef, block: ArtifactStore | None) -> LocalArtifact:
    """A verified copy of an artifact on this machine."""
    return store_of(block).fetch(ref.uri, digest=ref.digest)


def address(ref: ArtifactRef, block: ArtifactStore | None) -> str:
    """Where an artifact is, once it is sure that it is still the one that was passed on."""
    return fetch(ref, block).uri


def show_metrics(key: str, ref: ArtifactRef, block: ArtifactStore | None) -> None:
    """Show the metrics of a model or predictor as a table of the run that is going on."""
    create_table_artifact(metric_rows(fetch(ref, block).path), key=key, description=ref.uri)
