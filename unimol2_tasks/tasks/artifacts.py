"""How tasks read what other tasks made."""

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.blocks import ArtifactStore, store_of


def fetch(ref: ArtifactRef, block: ArtifactStore | None) -> LocalArtifact:
    """A verified copy of an artifact on this machine."""
    return store_of(block).fetch(ref.uri, digest=ref.digest)


def address(ref: ArtifactRef, block: ArtifactStore | None) -> str:
    """Where an artifact is, once it is sure that it is still the one that was passed on."""
    return fetch(ref, block).uri


def address_of(ref: ArtifactRef | None, block: ArtifactStore | None) -> str | None:
    """The same for an artifact that there may be none of."""
    return None if ref is None else address(ref, block)
