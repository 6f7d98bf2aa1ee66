"""Copies of the training state in the memory of the host, taken through DeepSpeed's own saving.

Importing this imports DeepSpeed, which looks for its accelerator then: import it after the ranks have joined.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import CheckpointCommitInfo, CheckpointEngine


class HostCopies(CheckpointEngine):  # type: ignore[misc]
    """A checkpoint engine for DeepSpeed that keeps what it is given instead of writing it.

    Attributes:
        files: The content of each file that DeepSpeed wanted to write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.name = "host copies"
        self.files: dict[Path, Any] = {}

    def create(self, info: CheckpointCommitInfo) -> None:
        """Nothing to prepare."""

    def save(self, state_dict: Any, path: str) -> None:
        """Keep a copy of what belongs into `path`."""
        self.files[Path(path)] = on_host(state_dict)

    def load(self, path: str, map_location: Any = None) -> Any:
        """Refuse: this engine is in place only while a checkpoint is saved."""
        raise NotImplementedError(f"{path}: copies cannot be loaded")

    def commit(self, info: CheckpointCommitInfo) -> bool:
        """Nothing to finish: the files are written later."""
        return True

    def preserves_storage_sharing(self) -> bool:
        """No: each tensor is copied by itself, so that a view does not bring its whole storage along."""
        return False


@contextmanager
def copying(engine: Any) -> Iterator[HostCopies]:
    """Have `engine.save_checkpoint` copy instead of write, inside of the block."""
    own, copies = engine.checkpoint_engine, HostCopies()
    engine.checkpoint_engine = copies
    try:
        yield copies
    finally:
        engine.checkpoint_engine = own


def on_host(value: Any) -> Any:
    """A deep copy with every tensor in CPU memory of its own.

    DeepSpeed hands out the live tensors and makes no copy itself, so this is the only one. A parameter
    comes back as a plain tensor.
    """
    if isinstance(value, torch.Tensor):
        plain = value.detach()
        return plain.clone() if plain.device.type == "cpu" else plain.cpu()
    if type(value) in (dict, OrderedDict):
        return type(value)((key, on_host(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(on_host(item) for item in value)
    return copy.deepcopy(value)
