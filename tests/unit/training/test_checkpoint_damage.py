"""Whatever happens to a byte of a checkpoint, it is not taken for a whole one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from unimol2_tasks.artifacts.manifest import MANIFEST
from unimol2_tasks.training.checkpoint_files import (
    CheckpointManifest,
    damage,
    read_manifest,
    record_files,
    seal,
)

SHARDS = [f"state/zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(2)]
MODEL = "state/mp_rank_00_model_states.pt"
EMA = "ema.safetensors"
SCRIPT = "zero_to_fp32.py"
FILES = [*SHARDS, MODEL, EMA, SCRIPT]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of two ranks, and a script that none of them recorded."""
    folder = tmp_path / "step-000000010"
    (folder / "state").mkdir(parents=True)
    for name in (*SHARDS, MODEL):
        torch.save({"exp_avg": torch.rand(7), "step": 10}, folder / name)
    save_file({"weight": torch.rand(3, 3)}, folder / EMA)
    (folder / SCRIPT).write_text("print('recovered')\n")
    record_files(folder, 0, [folder / MODEL, folder / SHARDS[0], folder / EMA])
    record_files(folder, 1, [folder / SHARDS[1]])
    seal(folder, CheckpointManifest(step=10, ranks=2, zero_stage=1, precision="fp32", best_step=5))
    return folder


def _flip(place: Callable[[int], int], bit: int = 0) -> Callable[[bytes], bytes]:
    def damaged(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[place(len(content))] ^= 1 << bit
        return bytes(changed)

    return damaged


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "one byte more": lambda content: content + b"\n",
    "zeros": lambda content: bytes(len(content)),
    "first byte": _flip(lambda size: 0),
    "middle byte": _flip(lambda size: size // 2),
    "last byte": _flip(lambda size: size - 1, bit=7),
}


def test_an_untouched_checkpoint_is_whole(checkpoint: Path) -> None:
    assert damage(checkpoint) is None


def test_the_manifest_says_how_the_checkpoint_was_made(checkpoint: Path) -> None:
    manifest = read_manifest(checkpoint)
    assert (manifest.step, manifest.ranks, manifest.zero_stage, manifest.precision) == (10, 2, 1, "fp32")
    assert manifest.best_step == 5


def test_the_manifest_lists_every_file(checkpoint: Path) -> None:
    files = {path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()}
    assert files - {MANIFEST} == set(FILES) == {entry.path for entry in read_manifest(checkpoint).files}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_changed_file_is_found(checkpoint: Path, name: str, kind: str) -> None:
    path = checkpoint / name
    path.write_bytes(DAMAGES[kind](path.read_bytes()))
    assert damage(checkpoint) == f"{name} is damaged"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    assert damage(checkpoint) == f"{name} is missing"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*FILES, MANIFEST]), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7)
)
def test_a_flipped_bit_anywhere_is_found(checkpoint: Path, name: str, where: float, bit: int) -> None:
    path = checkpoint / name
    content = path.read_bytes()
    path.write_bytes(_flip(lambda size: int(size * where), bit)(content))
    assert damage(checkpoint) is not None
    path.write_bytes(content)
    assert damage(checkpoint) is None


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_manifest_is_found(checkpoint: Path, kind: str) -> None:
    path = checkpoint / MANIFEST
    path.write_bytes(DAMAGES[kind](path.read_bytes()))
    problem = damage(checkpoint)
    assert problem is not None
    assert problem.startswith("its manifest")


def test_a_manifest_that_says_something_else_is_found(checkpoint: Path) -> None:
    path = checkpoint / MANIFEST
    path.write_text(path.read_text().replace('"ranks": 2', '"ranks": 1'))
    assert damage(checkpoint) == "its manifest is damaged"


def test_without_a_manifest_it_is_no_checkpoint(checkpoint: Path) -> None:
    (checkpoint / MANIFEST).unlink()
    assert damage(checkpoint) == "its manifest cannot be read (No such file or directory)"
