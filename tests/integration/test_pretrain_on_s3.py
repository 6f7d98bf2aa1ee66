"""A pretraining from bucket to bucket whose machine is lost, and what S3 keeps of it until it is done."""

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import yaml

from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef
from unimol2_tasks.artifacts.s3 import S3Options
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import pretrain
from unimol2_tasks.training.checkpoint_files import CheckpointManifest, record_files, seal
from unimol2_tasks.training.job import Job, RunFolder
from unimol2_tasks.training.launch import WORKER
from unimol2_tasks.training.mirror import CheckpointMirror

BUCKET = "unimol2"
PATIENCE_SECONDS = 120.0


@pytest.fixture
def client(s3_environment: str) -> Any:
    return boto3.client("s3")


def keys(client: Any, prefix: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def steps_on_s3(client: Any, prefix: str) -> list[int]:
    """Steps of the finished checkpoints below a prefix, oldest first."""
    found = (key.split("/") for key in keys(client, prefix) if key.endswith(f"/{MANIFEST}"))
    return sorted(int(parts[-2].removeprefix("step-")) for parts in found)


def wait_until(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def upload(client: Any, ref: ArtifactRef, prefix: str) -> str:
    for path in Path(ref.uri).rglob("*"):
        if path.is_file():
            client.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(ref.uri).as_posix()}")
    return f"s3://{BUCKET}/{prefix}"


def test_another_machine_goes_on_from_the_checkpoint_on_s3(
    tmp_path: Path, client: Any, tiny_params: Params, tiny_dataset: ArtifactRef
) -> None:
    values = tiny_params.model_dump()
    values["pretrain"] |= {"ranks": 1, "threads": 1, "steps": 40, "checkpoint_every": 10}
    params = parse_params(values)
    dataset = upload(client, tiny_dataset, f"dataset/{tiny_dataset.digest}")
    settings = tmp_path / "params.yaml"
    settings.write_text(yaml.safe_dump(params.model_dump(mode="json")))
    out = f"s3://{BUCKET}/runs"
    arguments = ["pretrain", "--dataset", dataset, "--out", out, "--params", str(settings)]
    process = subprocess.Popen([sys.executable, "-m", "unimol2_tasks.cli", *arguments])
    try:
        left = tmp_path / ".unimol2"
        wait_until(lambda: list(left.glob(".work/model-*/checkpoints/step-*")), process)
        # The copy goes on while the rank cannot finish the run.
        _suspend_ranks(process)
        wait_until(lambda: steps_on_s3(client, "runs/.checkpoints/"), process)
    finally:
        process.kill()
        process.wait()
    assert keys(client, "runs/model/") == []
    shutil.rmtree(left)

    log = tmp_path / "kept.log"
    mirrored = steps_on_s3(client, "runs/.checkpoints/")[-1]
    ref = _run_and_keep_the_log(params, dataset, out, log)
    assert f"resumed from step-{mirrored:09d}" in log.read_text()
    whole = pretrain.run(params, pretrain.PretrainInputs(tiny_dataset.uri), str(tmp_path / "whole"))
    assert ref.digest == whole.digest, "weights and curve are the same to the byte"
    assert keys(client, "runs/.checkpoints/") == []


def _suspend_ranks(process: subprocess.Popen[bytes]) -> None:
    for child in psutil.Process(process.pid).children(recursive=True):
        if WORKER in child.cmdline():
            child.suspend()


def _run_and_keep_the_log(params: Params, dataset: str, out: str, log: Path) -> ArtifactRef:
    """The run's folder is removed with the run's end."""
    with pytest.MonkeyPatch.context() as patch:
        rmtree = shutil.rmtree

        def keep_log(path: Path, **settings: Any) -> None:
            if (Path(path) / "worker.log").exists():
                shutil.copyfile(Path(path) / "worker.log", log)
            rmtree(path, **settings)

        patch.setattr("unimol2_tasks.stages.training_job.shutil.rmtree", keep_log)
        return pretrain.run(params, pretrain.PretrainInputs(dataset), out, Store())


@pytest.fixture
def mirror(tmp_path: Path, s3_environment: str, request: pytest.FixtureRequest) -> CheckpointMirror:
    return machine(tmp_path / "a", request.node.name)


def machine(folder: Path, out: str, keep: int = 2) -> CheckpointMirror:
    """The mirror as a machine sees it that has this folder and keeps so many checkpoints."""
    run = RunFolder(folder / "model-1")
    run.path.mkdir(parents=True)
    params = parse_params({"pretrain": {"keep_checkpoints": keep}})
    run.job.write_text(Job(kind="pretrain", dataset=folder, params=params).model_dump_json())
    return CheckpointMirror.below(f"s3://{BUCKET}/{out}", run, S3Options())


def save(run: RunFolder, step: int, best_step: int = -1) -> Path:
    """A checkpoint as training leaves it."""
    partial = run.checkpoints / f".partial-{step}"
    (partial / "state").mkdir(parents=True)
    (partial / "state" / "model.pt").write_bytes(b"weights" * step)
    record_files(partial, 0, [partial / "state" / "model.pt"])
    manifest = CheckpointManifest(step=step, ranks=1, zero_stage=0, precision="fp32", best_step=best_step)
    seal(partial, manifest)
    return partial.rename(run.checkpoints / f"step-{step:09d}")


def test_s3_keeps_what_is_kept_here_and_gives_back_the_newest(
    mirror: CheckpointMirror, client: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    prefix = request.node.name
    for step in (10, 20):
        save(mirror.run, step)
    mirror.run.best.write_bytes(b"best")
    assert mirror.catch_up()
    assert steps_on_s3(client, prefix) == [20], "the newest goes first"
    assert mirror.catch_up()
    assert steps_on_s3(client, prefix) == [10, 20]
    assert not mirror.catch_up()
    shutil.rmtree(mirror.run.checkpoints / "step-000000010")
    save(mirror.run, 30)
    assert mirror.catch_up()
    assert steps_on_s3(client, prefix) == [20, 30]

    other = machine(tmp_path / "b", prefix)
    assert other.bring_back() == "step-000000030"
    assert (other.run.checkpoints / "step-000000030" / "state" / "model.pt").read_bytes() == b"weights" * 30
    assert other.run.best.read_bytes() == b"best"
    assert other.bring_back() is None
    assert not other.catch_up()
    other.remove()
    assert keys(client, prefix) == []
    assert machine(tmp_path / "c", prefix).bring_back() is None


def test_damaged_and_unfinished_ones_are_passed_over_and_said(
    client: Any, tmp_path: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = request.node.name
    one = machine(tmp_path / "a", prefix, keep=3)
    for step in (10, 20, 30):
        save(one.run, step)
        assert one.catch_up()
    key = f"{prefix}/.checkpoints/model-1/step-0000000"
    client.put_object(Bucket=BUCKET, Key=f"{key}20/state/model.pt", Body=b"weightz" * 20)
    client.delete_object(Bucket=BUCKET, Key=f"{key}30/{MANIFEST}")

    other = machine(tmp_path / "b", prefix)
    with caplog.at_level(logging.WARNING):
        assert other.bring_back() == "step-000000010"
    assert f"{key}30 is passed over: it is not finished" in caplog.text
    assert f"{key}20 is passed over: state/model.pt is damaged" in caplog.text
    assert [path.name for path in other.run.checkpoints.iterdir()] == ["step-000000010"]
    save(other.run, 20)
    assert other.catch_up()
    assert steps_on_s3(client, prefix) == [10, 20]
    assert machine(tmp_path / "c", prefix).bring_back() == "step-000000020"


def test_an_upload_of_another_machine_is_left_alone_until_a_newer_checkpoint_is_there(
    mirror: CheckpointMirror, client: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    prefix = request.node.name
    save(mirror.run, 10)
    assert mirror.catch_up()
    under_way = f"{prefix}/.checkpoints/model-1/step-000000020/state/of-another-rank.pt"
    client.put_object(Bucket=BUCKET, Key=under_way, Body=b"weights")

    other = machine(tmp_path / "b", prefix)
    assert other.bring_back() == "step-000000010"
    assert under_way in keys(client, prefix)
    save(other.run, 20)
    assert other.catch_up()
    reader = machine(tmp_path / "c", prefix)
    assert reader.bring_back() == "step-000000020"
    files = (reader.run.checkpoints / "step-000000020" / "state").iterdir()
    assert [path.name for path in files] == ["model.pt"], "what the other left there is not of it"

    client.put_object(
        Bucket=BUCKET, Key=under_way.replace("step-000000020", "step-000000025"), Body=b"weights"
    )
    save(other.run, 30)
    assert other.catch_up()
    assert not [key for key in keys(client, prefix) if "step-000000025" in key]


def test_a_damaged_one_here_does_not_hide_the_intact_one_on_s3(
    mirror: CheckpointMirror, client: Any, request: pytest.FixtureRequest
) -> None:
    for step in (10, 20):
        save(mirror.run, step)
        assert mirror.catch_up()
    weights = mirror.run.checkpoints / "step-000000020" / "state" / "model.pt"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    assert mirror.bring_back() == "step-000000020"
    assert weights.read_bytes() == whole
    assert mirror.bring_back() is None


def test_a_new_machine_keeps_on_s3_the_best_and_the_newest_of_the_one_before(
    client: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    prefix = request.node.name
    one = machine(tmp_path / "a", prefix, keep=3)
    for step in (10, 20, 30, 40):
        save(one.run, step, best_step=10)
        assert one.catch_up()
    assert steps_on_s3(client, prefix) == [10, 20, 30, 40]

    other = machine(tmp_path / "b", prefix, keep=3)
    assert other.bring_back() == "step-000000040"
    save(other.run, 50, best_step=10)
    assert other.catch_up()
    assert steps_on_s3(client, prefix) == [10, 30, 40, 50]
    save(other.run, 60, best_step=60)
    assert other.catch_up()
    assert steps_on_s3(client, prefix) == [40, 50, 60]


def test_a_checkpoint_that_is_removed_during_its_upload_is_skipped(
    mirror: CheckpointMirror, client: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    put_file = s3fs.S3FileSystem.put_file

    def too_late(fs: Any, path: str, *arguments: Any) -> None:
        shutil.rmtree(mirror.run.checkpoints / "step-000000010", ignore_errors=True)
        put_file(fs, path, *arguments)

    save(mirror.run, 10)
    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "put_file", too_late)
        assert mirror.catch_up()
        assert not mirror.catch_up()
    assert steps_on_s3(client, request.node.name) == []


def test_a_failing_s3_is_complained_of_and_tried_again_while_training_goes_on(
    mirror: CheckpointMirror,
    client: Any,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unimol2_tasks.training.mirror._POLL_SECONDS", 0.01)
    monkeypatch.setattr("unimol2_tasks.training.mirror._FIRST_PAUSE_SECONDS", 0.05)
    elsewhere, there = f"s3://nowhere/{request.node.name}", mirror.remote.uri
    mirror.remote.uri = elsewhere
    with mirror.following():
        save(mirror.run, 10)
        _wait(lambda: "checkpoints are on this machine only since" in caplog.text)
        assert f"{elsewhere}/step-000000010: not found" in caplog.text
        mirror.remote.uri = there
        _wait(lambda: steps_on_s3(client, request.node.name) == [10])


def test_a_stopped_run_leaves_its_last_checkpoint_on_s3(
    mirror: CheckpointMirror, client: Any, request: pytest.FixtureRequest
) -> None:
    def stop() -> None:
        with mirror.following():
            save(mirror.run, 17)
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        stop()
    assert steps_on_s3(client, request.node.name) == [17]


def _wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
