"""Writing a checkpoint while training goes on: a thread per rank, and no collective operation in it."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from unimol2_tasks.artifacts.drafts import sync
from unimol2_tasks.errors import UserError
from unimol2_tasks.training.agreement import on_first_rank, problems_of_all_ranks
from unimol2_tasks.training.checkpoint_files import CheckpointManifest, all_recorded, record_files, seal

EMA = "ema.safetensors"
_POLL_SECONDS = 0.05
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class BackgroundSave:
    """One checkpoint on its way to the disk.

    Every rank writes its own files, hashes them, forces them to the disk and leaves a record. The first
    rank waits for all records, writes the manifest and gives the checkpoint its name.

    Attributes:
        files: What this rank has to write: nested values whose tensors nobody else uses.
        ema: Averaged weights by name; on the first rank, or None.
        partial: Where to write.
        target: The checkpoint's name when it is complete.
        manifest: What is known of it besides its files.
        afterwards: Called by the first rank when the checkpoint is complete.
    """

    files: dict[Path, Any]
    ema: dict[str, torch.Tensor] | None
    partial: Path
    target: Path
    manifest: CheckpointManifest
    afterwards: Callable[[], None]
    _rank: int = field(default_factory=dist.get_rank)
    _written: threading.Event = field(default_factory=threading.Event)
    _given_up: threading.Event = field(default_factory=threading.Event)
    _problem: str | None = None
    _thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Begin to write.

        The interpreter waits for this thread when it exits, else a rank that ends with an error could be
        aborted inside of a write, and would look like a crash.
        """
        self._thread = threading.Thread(target=self._run, name=self.target.name)
        self._thread.start()

    def finish(self) -> None:
        """Wait until the checkpoint is complete and durable; every rank must call it.

        Raises:
            UserError: A rank could not write its files, or the first one not the manifest; on every rank.
        """
        self._written.wait()
        problems = problems_of_all_ranks(self._problem)
        if problems:
            self._given_up.set()
        self._thread.join()
        if not problems:
            problems = on_first_rank(lambda: [f"rank 0: {self._problem}"] if self._problem else [])
        if problems:
            raise UserError(
                f"{self.target}: the checkpoint could not be written ({'; '.join(problems)}). When there is "
                "room and permission, start again: training goes on from the newest complete checkpoint"
            )

    def _run(self) -> None:
        try:
            self._write()
            self._written.set()
            if self._rank == 0 and self._everybody_is_ready():
                self._complete()
        except Exception as error:
            _logger.exception("checkpoint %s could not be written", self.target.name)
            self._problem = f"{type(error).__name__}: {error}"
        finally:
            self._written.set()

    def _write(self) -> None:
        paths = []
        while self.files:
            path, content = self.files.popitem()
            _write_tensors(path, content)
            paths.append(path)
        if self.ema is not None:
            paths.append(self.partial / EMA)
            save_file(self.ema, paths[-1])
            self.ema = None
        record_files(self.partial, self._rank, paths)

    def _everybody_is_ready(self) -> bool:
        """Wait for the records; in vain where a rank has failed, or where this process is about to end."""
        while not all_recorded(self.partial, self.manifest.ranks):
            if self._given_up.wait(_POLL_SECONDS) or not threading.main_thread().is_alive():
                return False
        return True

    def _complete(self) -> None:
        seal(self.partial, self.manifest)
        self.partial.rename(self.target)
        sync(self.target.parent)
        self.afterwards()


def _write_tensors(path: Path, content: Any) -> None:
    with path.open("wb") as stream:
        try:
            torch.save(content, stream)
        except RuntimeError as error:
            # Of a full disk torch says only that its archive came out shorter than it should be.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
