"""What keeps a checkpoint from being resumed."""

import json
from pathlib import Path

import pytest

from unimol2_tasks.artifacts.manifest import MANIFEST, sha256_of
from unimol2_tasks.training.checkpoints import damage

SHARD = "state/zero_pp_rank_0.pt"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "step-000000010"
    (folder / "state").mkdir(parents=True)
    (folder / SHARD).write_bytes(bytes(range(256)))
    (folder / "state" / "model.pt").write_bytes(b"weights")
    hashes = {
        path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()
    }
    (folder / MANIFEST).write_text(json.dumps(hashes))
    return folder


def test_an_untouched_checkpoint_is_whole(checkpoint: Path) -> None:
    assert damage(checkpoint) is None


def test_a_missing_file_is_named(checkpoint: Path) -> None:
    (checkpoint / SHARD).unlink()
    assert damage(checkpoint) == f"{SHARD} is missing"


def test_one_flipped_bit_is_found_in_its_file(checkpoint: Path) -> None:
    content = bytearray((checkpoint / SHARD).read_bytes())
    content[100] ^= 1
    (checkpoint / SHARD).write_bytes(content)
    assert damage(checkpoint) == f"{SHARD} is damaged"


def test_a_truncated_file_is_found(checkpoint: Path) -> None:
    (checkpoint / SHARD).write_bytes((checkpoint / SHARD).read_bytes()[:-1])
    assert damage(checkpoint) == f"{SHARD} is damaged"


@pytest.mark.parametrize("text", [None, "", '{"state/model.pt": '])
def test_without_a_readable_manifest_it_is_no_checkpoint(checkpoint: Path, text: str | None) -> None:
    (checkpoint / MANIFEST).unlink()
    if text is not None:
        (checkpoint / MANIFEST).write_text(text)
    problem = damage(checkpoint)
    assert problem is not None
    assert "manifest cannot be read" in problem
