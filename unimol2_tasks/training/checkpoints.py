"""Checkpoints that are complete or absent, written while training goes on.

DeepSpeed writes its files straight to their final names and `latest` before all ranks are done. Here its
state is copied into the host's memory, and training goes on; threads write the copies to a temporary name,
hash them and force them to disk, and the checkpoint appears by one rename. Resume takes the newest checkpoint
that verifies.

The copies take as much of the host's memory as this rank's files have bytes: in fp32 with Adam 12 bytes per
parameter without ZeRO (84M: 1 GB; 1.1B: 13 GB), else 16, shared out over the ranks but for one copy of the
weights. With the supervisor's allocator settings the memory stays with the process for the next checkpoint,
which makes copying cheap: 84M on a busy CPU took 3 s the first time, 0.6 s later, where writing took 15 s.
Files are read with DeepSpeed's own loader, which unpickles: a run folder is to be trusted like code.
"""

import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file

from unimol2_tasks.training.agreement import on_first_rank
from unimol2_tasks.training.background_save import EMA, BackgroundSave
from unimol2_tasks.training.checkpoint_files import CheckpointManifest, damage, read_manifest
from unimol2_tasks.training.universal import Layout, convert, loading_universal, needs_conversion

_TAG = "state"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a checkpoint gave back besides the engine's state.

    Attributes:
        state: The loop's state, as it was saved.
        ema: The averaged fp32 weights by name, on the CPU of every rank; None where none were saved.
        name: The checkpoint's name.
    """

    state: dict[str, Any]
    ema: dict[str, torch.Tensor] | None
    name: str


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one run; every rank makes the same calls.

    Attributes:
        folder: Where they lie, one folder `step-…` each.
        keep: How many of the newest stay, besides the best one.
    """

    folder: Path
    keep: int
    _saving: BackgroundSave | None = field(default=None, init=False, repr=False)

    def save(
        self,
        engine: Any,
        step: int,
        state: dict[str, Any],
        best_step: int = -1,
        ema: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Save after `step` optimiser steps; returns when the state is copied, before it is on disk.

        Waits for the save before, if that is still under way.

        Args:
            engine: The DeepSpeed engine.
            step: Optimiser steps taken.
            state: What the loop must know again, as plain JSON values; the same on all ranks.
            best_step: The step of the best validation; its checkpoint is kept.
            ema: The averaged fp32 weights by name, in CPU memory that nobody changes afterwards; the first
                rank's are saved.

        Raises:
            UserError: The save before has failed on some rank.
        """
        self.close()
        target = self.folder / f"step-{step:09d}"
        partial = self.folder / f".partial-{target.name}"
        if not on_first_rank(lambda: _begin(partial, target)):
            return
        from unimol2_tasks.training.host_copies import copying

        with copying(engine) as copies:
            engine.save_checkpoint(
                str(partial), tag=_TAG, client_state={"loop": json.dumps(state)}, save_latest=False
            )
        layout = _layout(engine)
        manifest = CheckpointManifest(
            step=step,
            ranks=layout.ranks,
            zero_stage=layout.zero_stage,
            precision=_precision(engine),
            best_step=best_step,
        )
        averages = ema if dist.get_rank() == 0 else None
        self._saving = BackgroundSave(
            copies.files, averages, partial, target, manifest, lambda: self._prune(best_step)
        )
        self._saving.start()

    def close(self) -> None:
        """Wait until everything that was saved is complete and durable.

        Raises:
            UserError: It could not be written on some rank; raised on all.
        """
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.finish()

    def resume(self, engine: Any) -> Resumed | None:
        """Bring the engine back to the newest checkpoint that verifies, or return None where there is none.

        A checkpoint of another number of ranks is converted first, beside the checkpoints.

        Raises:
            UserError: It was made at a ZeRO stage from which DeepSpeed cannot go on at this one.
        """
        found = on_first_rank(self._newest_intact)
        if found is None:
            return None
        name, made = found
        checkpoint, now = self.folder / name, _layout(engine)
        if needs_conversion(made, now):
            client = self._load_converted(engine, checkpoint)
            _logger.info("resumed from %s, converted from %s to %s", name, made, now)
        else:
            client = _load(engine, checkpoint)
            _logger.info("resumed from %s", name)
        averages = checkpoint / EMA
        return Resumed(json.loads(client["loop"]), load_file(averages) if averages.exists() else None, name)

    def _load_converted(self, engine: Any, checkpoint: Path) -> dict[str, Any]:
        converted = self.folder / f".partial-universal-{checkpoint.name}"

        def start() -> None:
            converted.mkdir()
            convert(checkpoint / _TAG, converted / _TAG)

        on_first_rank(start)
        with loading_universal(engine):
            client = _load(engine, converted)
        dist.barrier()
        on_first_rank(lambda: shutil.rmtree(converted))
        return client

    def _newest_intact(self) -> tuple[str, Layout] | None:
        """The checkpoint to go on from; what an interruption or a bad disk left is removed.

        A damaged checkpoint must not stay: it would count as one of the newest, and its step would not be
        saved again.
        """
        for path in self.folder.glob(".partial-*"):
            shutil.rmtree(path)
        for path in sorted(self.folder.glob("step-*"), reverse=True):
            problem = damage(path)
            if problem is None:
                manifest = read_manifest(path)
                return path.name, Layout(manifest.ranks, manifest.zero_stage)
            _logger.warning("checkpoint %s is passed over and removed: %s", path.name, problem)
            shutil.rmtree(path)
        return None

    def _prune(self, best_step: int) -> None:
        best = f"step-{best_step:09d}"
        for path in sorted(self.folder.glob("step-*"))[: -self.keep]:
            if path.name != best:
                _remove(path)


def _remove(path: Path) -> None:
    """What cannot be removed stays, and is tried again with the next checkpoint: the new one is complete."""
    try:
        shutil.rmtree(path)
    except OSError as error:
        _logger.warning("checkpoint %s cannot be removed: %s", path.name, error)


def _begin(partial: Path, target: Path) -> bool:
    """Make room for a checkpoint, unless it is there already."""
    if target.exists():
        return False
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return True


def _load(engine: Any, folder: Path) -> dict[str, Any]:
    """Load DeepSpeed's part; returns what the loop gave it to keep."""
    path, client = engine.load_checkpoint(str(folder), tag=_TAG)
    if path is None:
        raise RuntimeError(f"DeepSpeed did not load the checkpoint {folder}")
    kept: dict[str, Any] = client
    return kept


def _layout(engine: Any) -> Layout:
    return Layout(dist.get_world_size(), int(engine.zero_optimization_stage()))


def _precision(engine: Any) -> str:
    if engine.bfloat16_enabled():
        return "bf16"
    return "fp16" if engine.fp16_enabled() else "fp32"
