"""Conversion of released checkpoints."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.errors import UserError
from unimol2_tasks.stages import convert


def test_a_released_checkpoint_becomes_a_model_and_comes_back_unchanged(
    tmp_path: Path, shared_dir: Path
) -> None:
    released = shared_dir / "reference" / "parity" / "tiny.checkpoint.pt"
    ref = convert.from_released(released, str(tmp_path / "model"))
    assert Store().fetch(ref.uri, "model").manifest.digest == ref.digest
    convert.to_released(ref.uri, tmp_path / "back.pt")
    original = load_file(shared_dir / "reference" / "parity" / "tiny.weights.safetensors")
    back = torch.load(tmp_path / "back.pt", weights_only=False)["model"]
    assert back.keys() == original.keys()
    for name, weight in original.items():
        assert torch.equal(back[name], weight), name


def test_an_existing_checkpoint_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(b"mine")
    with pytest.raises(UserError, match="exists"):
        convert.to_released("any-model", tmp_path / "mine.pt")
