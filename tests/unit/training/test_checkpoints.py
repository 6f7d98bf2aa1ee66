"""Saving while training goes on, with DeepSpeed's own engine on one rank."""

import logging
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from unimol2_tasks.errors import UserError
from unimol2_tasks.training import background_save
from unimol2_tasks.training.checkpoint_files import damage, read_manifest
from unimol2_tasks.training.checkpoints import Checkpoints
from unimol2_tasks.training.engine import import_deepspeed

DATA = torch.linspace(-1, 1, 8 * 64).reshape(8, 64)


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of this process alone, which meets in a file instead of on a port."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DS_ACCELERATOR", "cpu")
        deepspeed = import_deepspeed()
        import deepspeed.ops as ops

        patch.setitem(ops.__compatible_ops__, "deepspeed_shm_comm", False)
        store = tmp_path_factory.mktemp("group") / "store"
        for name, value in (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1)):
            patch.setenv(name, str(value))
        deepspeed.init_distributed(
            "gloo",
            init_method=f"file://{store}",
            rank=0,
            world_size=1,
            auto_mpi_discovery=False,
            verbose=False,
        )
        yield
        deepspeed.comm.destroy_process_group()


def _engine(stage: int, precision: str = "fp32") -> Any:
    torch.manual_seed(3)
    network = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GELU(), torch.nn.Linear(64, 1))
    engine, *_ = import_deepspeed().initialize(
        model=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr=1e-2),
        config={
            "train_batch_size": 8,
            "zero_optimization": {"stage": stage},
            "bf16": {"enabled": precision == "bf16"},
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 10**9,
        },
    )
    return engine


@pytest.fixture(
    params=[(0, "fp32"), (1, "fp32"), (2, "fp32"), (3, "fp32"), (1, "bf16"), (3, "bf16")], ids=str
)
def engine(one_rank: None, request: pytest.FixtureRequest) -> Any:
    return _engine(*request.param)


@pytest.fixture
def plain_engine(one_rank: None) -> Any:
    return _engine(0)


def _train(engine: Any, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        loss = engine(DATA.to(next(engine.module.parameters()).dtype)).square().mean()
        engine.backward(loss)
        engine.step()
        losses.append(loss.item())
    return losses


def _steps(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in folder.glob("step-*"))


@contextmanager
def _held_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is written to the disk before the block ends."""
    released, write = threading.Event(), background_save._write_tensors

    def write_later(path: Path, content: Any) -> None:
        released.wait()
        write(path, content)

    monkeypatch.setattr(background_save, "_write_tensors", write_later)
    try:
        yield
    finally:
        released.set()


@contextmanager
def _files_end_at(size: int) -> Iterator[None]:
    """A disk on which no file gets larger than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_training_may_go_on_before_anything_is_written(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    _train(engine, 3)
    with _held_back(monkeypatch):
        checkpoints.save(engine, 3, {"step": 3})
        after = _train(engine, 4)
        assert not _steps(tmp_path)
    checkpoints.close()
    assert _steps(tmp_path) == [3]
    resumed = checkpoints.resume(engine)
    assert resumed is not None
    assert (resumed.state, resumed.ema, resumed.name) == ({"step": 3}, None, "step-000000003")
    assert _train(engine, 4) == after


def test_every_file_of_deepspeed_is_in_the_manifest(engine: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(engine, 1, {}, best_step=1)
    checkpoints.close()
    assert damage(tmp_path / "step-000000001") is None
    manifest = read_manifest(tmp_path / "step-000000001")
    assert (manifest.step, manifest.ranks, manifest.best_step) == (1, 1, 1)
    assert manifest.zero_stage == engine.zero_optimization_stage()
    assert manifest.precision == ("bf16" if engine.bfloat16_enabled() else "fp32")
    assert any(entry.path.endswith("model_states.pt") for entry in manifest.files)
    assert any(entry.path.endswith("optim_states.pt") for entry in manifest.files) == (
        manifest.zero_stage > 0
    )


def test_averaged_weights_come_back(plain_engine: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    average = {"weight": torch.rand(4, 3), "bias": torch.rand(4)}
    checkpoints.save(plain_engine, 1, {}, ema=average)
    checkpoints.close()
    resumed = checkpoints.resume(plain_engine)
    assert resumed is not None
    assert resumed.ema is not None
    assert {name: value.tolist() for name, value in resumed.ema.items()} == {
        name: value.tolist() for name, value in average.items()
    }


def test_a_second_save_waits_for_the_first(plain_engine: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(plain_engine, 1, {})
    checkpoints.save(plain_engine, 2, {})
    assert 1 in _steps(tmp_path)
    checkpoints.close()
    assert _steps(tmp_path) == [1, 2]


def test_the_newest_and_the_best_stay(plain_engine: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 2)):
        checkpoints.save(plain_engine, step, {}, best_step=best)
    checkpoints.close()
    assert _steps(tmp_path) == [2, 4, 5]
    checkpoints.save(plain_engine, 6, {}, best_step=6)
    checkpoints.close()
    assert _steps(tmp_path) == [5, 6]


def test_a_step_is_saved_once(plain_engine: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(plain_engine, 1, {"first": True})
    checkpoints.save(plain_engine, 1, {"first": False})
    checkpoints.close()
    resumed = checkpoints.resume(plain_engine)
    assert resumed is not None
    assert resumed.state == {"first": True}


@pytest.mark.parametrize("next_call", ["save", "close"])
def test_a_full_disk_is_told_by_the_next_call_and_leaves_the_checkpoint_before(
    plain_engine: Any, tmp_path: Path, next_call: str
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(plain_engine, 1, {})
    checkpoints.close()
    with _files_end_at(10_000):
        checkpoints.save(plain_engine, 2, {})
        with pytest.raises(UserError, match=r"step-000000002.*rank 0: OSError.*File too large.*start again"):
            checkpoints.close() if next_call == "close" else checkpoints.save(plain_engine, 3, {})
    assert _steps(tmp_path) == [1]
    checkpoints.close()
    resumed = checkpoints.resume(plain_engine)
    assert resumed is not None
    assert resumed.name == "step-000000001"
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


def test_after_a_failure_the_next_checkpoint_is_whole(plain_engine: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    with _files_end_at(10_000):
        checkpoints.save(plain_engine, 2, {})
        with pytest.raises(UserError):
            checkpoints.close()
    checkpoints.save(plain_engine, 2, {})
    checkpoints.close()
    assert damage(tmp_path / "step-000000002") is None


def test_the_newest_that_verifies_is_resumed_and_the_other_told_of(
    plain_engine: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2):
        checkpoints.save(plain_engine, step, {"step": step})
    checkpoints.close()
    (tmp_path / ".partial-step-000000003").mkdir()
    shard = tmp_path / "step-000000002" / "state" / "mp_rank_00_model_states.pt"
    shard.write_bytes(shard.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        resumed = checkpoints.resume(plain_engine)
    assert resumed is not None
    assert resumed.state == {"step": 1}
    assert (
        "step-000000002 is passed over and removed: state/mp_rank_00_model_states.pt is damaged"
        in caplog.text
    )
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


def test_without_a_checkpoint_there_is_nothing_to_resume(plain_engine: Any, tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "new", keep=1).resume(plain_engine) is None


def test_a_checkpoint_of_another_stage_is_refused(plain_engine: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(plain_engine, 1, {})
    checkpoints.close()
    with pytest.raises(UserError, match=r"made by 1 rank at ZeRO stage 0.*set zero_stage to 0"):
        checkpoints.resume(_engine(1))
    assert _steps(tmp_path) == [1]
