"""A run that is killed and started again ends with the bytes that it would have had."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from kills import Kill, KilledRun, seeded_kills

from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import finetune, pretrain
from unimol2_tasks.training.job import Job, RunFolder
from unimol2_tasks.training.supervisor import supervise

KILLS, SEED = 20, 20


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def test_a_killed_rank_launcher_and_supervisor_leave_no_process_and_change_no_byte(
    start: Any,
    tmp_path: Path,
    long_params: Params,
    tiny_dataset: ArtifactRef,
    uninterrupted: dict[str, bytes],
) -> None:
    killed = KilledRun(start, long_params)
    killed.kill(Kill("rank", "write", checkpoints=1, delay=0.2, rank=1))
    killed.kill(Kill("launcher", "step", checkpoints=1, delay=0.5, rank=0))
    killed.kill(Kill("supervisor", "step", checkpoints=1, delay=0.9, rank=0))
    assert killed.log.count("resumed from step-") == 2 * 2, "both ranks say so, in two lives"
    assert not killed.command.out.exists()
    damaged = RunFolder(tmp_path / "damaged")
    shutil.copytree(killed.command.run.path, damaged.path)

    ref = pretrain.run(long_params, pretrain.PretrainInputs(tiny_dataset.uri), str(killed.command.out))
    assert killed.command.files == uninterrupted
    assert ref.kind == "model"
    assert not killed.command.run.path.exists()

    _resumes_without_its_newest_checkpoint(damaged, uninterrupted)


def _resumes_without_its_newest_checkpoint(run: RunFolder, uninterrupted: dict[str, bytes]) -> None:
    """One checkpoint is damaged; another was being written when its process was killed."""
    *_, before, newest = sorted(run.checkpoints.glob("step-*"))
    shard = max(newest.rglob("*.pt"), key=lambda path: path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    shutil.copytree(before, run.checkpoints / ".partial-step-000000077")
    (run.checkpoints / ".partial-step-000000077" / MANIFEST).unlink()

    supervise(Job.model_validate_json(run.job.read_text()), run, ranks=2)
    log = run.log.read_text()
    assert f"WARNING unimol2_tasks.training.checkpoints: checkpoint {newest.name} is passed over" in log
    assert f"{shard.relative_to(newest)} is damaged" in log
    assert f"resumed from {before.name}" in log
    assert _files(run.result) == uninterrupted
    assert not list(run.checkpoints.glob(".partial-*"))


@pytest.mark.exhaustive
def test_twenty_kills_at_random_moments_change_no_byte(
    start: Any, tmp_path: Path, long_params: Params, tiny_dataset: ArtifactRef
) -> None:
    values = long_params.model_dump()
    values["pretrain"] |= {"steps": 400, "checkpoint_every": 4, "validate_every": 100}
    values["supervision"] |= {"max_restarts": KILLS}
    params = parse_params(values)
    whole = pretrain.run(params, pretrain.PretrainInputs(tiny_dataset.uri), str(tmp_path / "whole"))
    kills = seeded_kills(KILLS, SEED)
    killed = KilledRun(start, params)
    for number, kill in enumerate(kills, 1):
        killed.kill(kill)
        print(f"kill {number}: {kill}, newest {killed.command.checkpoints[-1:]}")
    killed.finish()
    print(f"{killed.half_written} of {KILLS} kills left a checkpoint unfinished")
    assert killed.half_written, "no kill has met a write; choose another seed"
    assert killed.command.files == _files(Path(whole.uri))


def test_a_killed_fine_tuning_resumes_to_the_same_bytes(
    start: Any,
    tiny_params: Params,
    tiny_dataset: ArtifactRef,
    tiny_model: ArtifactRef,
    tiny_predictor: ArtifactRef,
) -> None:
    command = start("finetune", "predictor", tiny_params, "--model", tiny_model.uri)
    command.wait_for_step(4)
    command.end_by(signal.SIGKILL)
    assert not command.out.exists()
    taken = json.loads(command.run.heartbeat.read_text())["step"]
    assert taken < 12

    finetune.run(tiny_params, finetune.FinetuneInputs(tiny_dataset.uri, tiny_model.uri), str(command.out))
    assert command.files == _files(Path(tiny_predictor.uri))
