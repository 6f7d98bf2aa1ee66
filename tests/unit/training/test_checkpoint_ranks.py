"""Two ranks that write one checkpoint: it is complete when both are, and both learn of a failure."""

import resource
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from unimol2_tasks.errors import UserError
from unimol2_tasks.training.background_save import BackgroundSave
from unimol2_tasks.training.checkpoint_files import CheckpointManifest, damage, read_manifest

NAME = "step-000000001"
MANIFEST = CheckpointManifest(step=1, ranks=2, zero_stage=1, precision="fp32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each way in which the two ranks wrote."""
    folder = tmp_path_factory.mktemp("ranks")
    for way in ("together", "one late", "one without room", "abandoned"):
        (folder / way / f".partial-{NAME}" / "state").mkdir(parents=True)
    multiprocessing.start_processes(_write_in_every_way, (folder,), nprocs=2, start_method="spawn")
    return folder


def _write_in_every_way(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    _start(rank, folder / "together").finish()
    if rank == 1:
        while not (folder / "one late" / f".partial-{NAME}" / ".records" / "rank-00000.json").exists():
            time.sleep(0.01)
        assert not (folder / "one late" / NAME).exists()
    _start(rank, folder / "one late").finish()
    if rank == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    try:
        _start(rank, folder / "one without room").finish()
    except UserError as error:
        (folder / f"error-{rank}").write_text(str(error))
    if rank == 0:
        _start(rank, folder / "abandoned")
    dist.destroy_process_group()


def _start(rank: int, folder: Path) -> BackgroundSave:
    partial = folder / f".partial-{NAME}"
    files = {partial / "state" / f"rank-{rank}.pt": {"weights": torch.rand(10_000)}}
    saving = BackgroundSave(files, None, partial, folder / NAME, MANIFEST, afterwards=lambda: None)
    saving.start()
    return saving


@pytest.mark.parametrize("way", ["together", "one late"])
def test_a_checkpoint_appears_when_all_ranks_have_written(saved: Path, way: str) -> None:
    assert damage(saved / way / NAME) is None
    files = [entry.path for entry in read_manifest(saved / way / NAME).files]
    assert files == ["state/rank-0.pt", "state/rank-1.pt"]


@pytest.mark.parametrize("rank", [0, 1])
def test_one_rank_without_room_stops_all_with_its_number(saved: Path, rank: int) -> None:
    error = (saved / f"error-{rank}").read_text()
    assert "rank 1: OSError: [Errno 27] File too large" in error
    assert "rank 0" not in error
    assert not (saved / "one without room" / NAME).exists()


def test_a_rank_that_ends_early_writes_its_files_and_does_not_wait_for_the_others(saved: Path) -> None:
    partial = saved / "abandoned" / f".partial-{NAME}"
    assert torch.load(partial / "state" / "rank-0.pt")["weights"].shape == (10_000,)
    assert not (saved / "abandoned" / NAME).exists()
