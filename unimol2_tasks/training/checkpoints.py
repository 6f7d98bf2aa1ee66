"""Checkpoints that are complete or absent.

DeepSpeed writes its shards straight to their final names and `latest` before all ranks are done. Here
everything goes to a temporary name, is hashed and forced to disk by rank 0 behind a barrier, and appears
by one rename. Resume takes the newest checkpoint that verifies.
"""

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist

from unimol2_tasks.artifacts.drafts import sync_tree
from unimol2_tasks.artifacts.manifest import MANIFEST, sha256_of

_TAG = "state"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one run.

    Attributes:
        folder: Where they lie, one folder `step-…` each.
        keep: How many of the newest stay.
    """

    folder: Path
    keep: int

    def save(self, engine: Any, step: int, state: dict[str, Any]) -> None:
        """Save after `step` optimiser steps; every rank must call it.

        Args:
            engine: The DeepSpeed engine.
            step: Optimiser steps taken.
            state: What the loop must know again, as plain JSON values; the same on all ranks.
        """
        target = self.folder / f"step-{step:09d}"
        partial = self.folder / f".partial-{target.name}"
        if target.exists():
            return
        if dist.get_rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        dist.barrier()
        engine.save_checkpoint(
            str(partial), tag=_TAG, client_state={"loop": json.dumps(state)}, save_latest=False
        )
        dist.barrier()
        if dist.get_rank() == 0:
            _seal(partial)
            partial.rename(target)
            self._prune()
        dist.barrier()

    def resume(self, engine: Any) -> dict[str, Any] | None:
        """Bring the engine back to the newest checkpoint that verifies; every rank must call it.

        Returns:
            The loop's state of then, or None where there is no checkpoint.
        """
        choice = [self._newest_intact() if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(choice, src=0)
        if choice[0] is None:
            return None
        path, client = engine.load_checkpoint(str(self.folder / choice[0]), tag=_TAG)
        if path is None:
            raise RuntimeError(f"DeepSpeed did not load the checkpoint {choice[0]}")
        state: dict[str, Any] = json.loads(client["loop"])
        _logger.info("resumed from %s", choice[0])
        return state

    def _newest_intact(self) -> str | None:
        """The checkpoint to go on from; what an interruption or a bad disk left is removed.

        A damaged checkpoint must not stay: it would count as one of the newest, and its step would not be
        saved again.
        """
        for path in self.folder.glob(".partial-*"):
            shutil.rmtree(path)
        for path in sorted(self.folder.glob("step-*"), reverse=True):
            problem = damage(path)
            if problem is None:
                return path.name
            _logger.warning("checkpoint %s is passed over and removed: %s", path.name, problem)
            shutil.rmtree(path)
        return None

    def _prune(self) -> None:
        for path in sorted(self.folder.glob("step-*"))[: -self.keep]:
            shutil.rmtree(path)


def damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or None if every file is as it was written."""
    manifest = checkpoint / MANIFEST
    try:
        hashes: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"its manifest cannot be read ({error})"
    for name, expected in hashes.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256_of(path) != expected:
            return f"{name} is damaged"
    return None


def _seal(folder: Path) -> None:
    hashes = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / MANIFEST).write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    sync_tree(folder)
