"""An embedding that is killed while it prepares and again while it infers ends with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from unimol2_model import save_weights
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.params import Params
from unimol2_tasks.training.network import WEIGHTS, new_pretraining_model, write_config

UNITS = 12
ROWS = 5 * UNITS
SETTINGS = ["prepare.conformers=2", "prepare.workers=2", "predict.unit_rows=5", "predict.threads=1"]
PATIENCE_SECONDS = 120.0


@pytest.fixture
def model(tmp_path: Path, tiny_params: Params) -> ArtifactRef:
    store, out = Store(), str(tmp_path / "model")
    with store.draft(out) as draft:
        network = new_pretraining_model(tiny_params.model, seed=0)
        save_weights(network, draft / WEIGHTS)
        write_config(draft, network.config)
        return store.publish(draft, out, Recipe("model", {}))


@pytest.fixture
def table(project_root: Path, tmp_path: Path) -> Path:
    lines = (project_root / "data" / "demo" / "molecules.csv").read_text().splitlines()
    path = tmp_path / "molecules.csv"
    path.write_text("\n".join(lines[:ROWS]) + "\nCCX\n")
    return path


def test_a_killed_embedding_goes_on(tmp_path: Path, model: ArtifactRef, table: Path) -> None:
    start = _starting(tmp_path, model, table)
    _finish(start("undisturbed.csv"))

    _kill_when(start("out.csv"), lambda: len(_files(tmp_path, "rows/*.parquet")) >= 3)
    prepared = {path: path.stat().st_mtime_ns for path in _files(tmp_path, "rows/*.parquet")}
    assert 3 <= len(prepared) < UNITS
    assert not (tmp_path / "out.csv").exists()

    _kill_when(start("out.csv"), lambda: len(_files(tmp_path, "inference/*/values/*.npy")) >= 1)
    inferred = {path: path.stat().st_mtime_ns for path in _files(tmp_path, "inference/*/values/*.npy")}
    assert {path: path.stat().st_mtime_ns for path in prepared} == prepared, "a finished unit was done again"

    seen: dict[Path, int] = {}
    process = start("out.csv")
    while process.poll() is None:
        seen |= {path: path.stat().st_mtime_ns for path in inferred if path.exists()}
        time.sleep(0.005)
    assert process.returncode == 0
    assert seen == inferred, "values that were there were computed again"
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "undisturbed.csv").read_bytes()
    assert not (tmp_path / ".work").exists()


def _starting(folder: Path, model: ArtifactRef, table: Path) -> Callable[[str], "subprocess.Popen[bytes]"]:
    assignments = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [
        sys.executable,
        "-m",
        "unimol2_tasks.cli",
        "embed",
        "--model",
        model.uri,
        "--input",
        str(table),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return lambda out: subprocess.Popen(
        [*command, "--out", str(folder / out), *assignments], cwd=folder, env=environment
    )


def _finish(process: "subprocess.Popen[bytes]") -> None:
    assert process.wait(PATIENCE_SECONDS) == 0


def _kill_when(process: "subprocess.Popen[bytes]", reached: Callable[[], bool]) -> None:
    """Kill the command alone; whatever it started ends by itself."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    tree = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(tree, timeout=30)[1], "a process outlived its command"


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted((folder / ".work").glob(f"embeddings-*/{pattern}"))
