"""`unimol2 demo` on a hundred of the embedded molecules: the whole pipeline as a newcomer starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SMALL = (
    "pretrain.steps=20", "pretrain.warmup_steps=2", "pretrain.validate_every=10", "finetune.epochs=2",
    "model.blocks=2", "evaluate.bootstrap=0",
)  # fmt: skip
KEYS = {
    "pretrain_loss_first",
    "pretrain_loss_last",
    "test_mae",
    "scratch_test_mae",
    "mean_baseline_mae",
    "classical_baseline_mae",
    "report",
}


def run_demo(folder: Path, data: Path) -> subprocess.CompletedProcess[str]:
    settings = [text for assignment in SMALL for text in ("--set", assignment)]
    environment = {**os.environ, "HOME": str(folder / "home")}
    environment.pop("PREFECT_HOME", None)
    return subprocess.run(
        [sys.executable, "-m", "unimol2_tasks.cli", "demo", "--data", str(data), "--out", "demo", *settings],
        cwd=folder, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """Every thirtieth embedded molecule."""
    folder = tmp_path_factory.mktemp("data")
    for name, every in (("molecules", 45), ("labelled", 30), ("library", 30)):
        lines = (project_root / "data" / "demo" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        (folder / f"{name}.csv").write_text("\n".join([lines[0], *lines[1::every]]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, data: Path) -> tuple[Path, str]:
    """The folder in which the demo ran, and what it showed."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "home").mkdir()
    result = run_demo(folder, data)
    assert result.returncode == 0, result.stderr
    return folder, result.stderr


def test_the_summary_holds_the_figures_of_the_run(demo: tuple[Path, str]) -> None:
    folder, shown = demo
    summary = json.loads((folder / "demo" / "summary.json").read_text(encoding="utf-8"))
    assert summary.keys() == KEYS
    assert summary["pretrain_loss_last"] < summary["pretrain_loss_first"]
    assert (folder / summary["report"]).is_file()
    assert f"{summary['test_mae']:.3f}" in shown


def test_nothing_is_written_outside_the_run_folder(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    assert sorted(path.name for path in folder.iterdir()) == ["demo", "home"]
    assert [
        path for path in (folder / "home").rglob("*") if path.is_file() and ".prefect" in path.parts
    ] == []


def test_the_same_run_again_elsewhere_gives_the_same_summary(
    tmp_path: Path, demo: tuple[Path, str], data: Path
) -> None:
    folder, _ = demo
    (tmp_path / "home").mkdir()
    again = run_demo(tmp_path, data)
    assert again.returncode == 0, again.stderr
    name = Path("demo") / "summary.json"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    weights = Path("demo") / "predictor" / "model.safetensors"
    assert (tmp_path / weights).read_bytes() == (folder / weights).read_bytes()


def test_the_server_of_a_killed_demo_is_ended_by_the_next(tmp_path: Path) -> None:
    from unimol2_flows import demo

    home = tmp_path / ".prefect"
    # What Prefect's temporary server looks like from outside, without its start-up of 20 s.
    stand_in = [sys.executable, "-c", "import time; time.sleep(600)", "prefect.server.api.server:create_app"]
    own, other = (
        subprocess.Popen(stand_in, env={**os.environ, "PREFECT_HOME": str(place)})
        for place in (home, tmp_path / "somebody-else")
    )
    try:
        demo._end_forgotten_servers(home)
        assert not psutil.pid_exists(own.pid)
        assert other.poll() is None
    finally:
        own.kill()
        other.kill()
