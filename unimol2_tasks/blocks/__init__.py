"""Prefect blocks: where artifacts live, and how training is launched.

Registered with `prefect block register -m unimol2_tasks`.
"""

from unimol2_tasks.blocks.artifact_store import ArtifactStore, place, reference, store_of
from unimol2_tasks.blocks.launch_profile import LaunchProfile

__all__ = ["ArtifactStore", "LaunchProfile", "place", "reference", "store_of"]
