"""A preparation that is killed and started again redoes only what was unfinished and gives the same bytes."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages.preparation.units import IdentifyUnit, Unit, work_here
from unimol2_tasks.stages.prepare import PrepareInputs, run

PARAMS = PrepareParams(conformers=4, workers=2, unit_rows=10, split="random")
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def table(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = (project_root / "data" / "demo" / "molecules.csv").read_text().splitlines()
    path = tmp_path_factory.mktemp("table") / "molecules.csv"
    path.write_text("\n".join(lines[:201]) + "\nCCX\n")
    return path


@pytest.fixture(scope="module")
def uninterrupted(table: Path, tmp_path_factory: pytest.TempPathFactory) -> ArtifactRef:
    return run(PARAMS, PrepareInputs(str(table)), str(tmp_path_factory.mktemp("whole") / "dataset"))


@pytest.mark.parametrize("phase", ["identified", "built"])
def test_a_killed_preparation_goes_on(
    table: Path, uninterrupted: ArtifactRef, tmp_path: Path, phase: str
) -> None:
    settings = ["conformers=4", "workers=2", "unit_rows=10", "split=random"]
    assignments = [word for setting in settings for word in ("--set", f"prepare.{setting}")]
    command = [sys.executable, "-m", "unimol2_tasks.cli", "prepare", "--input", str(table)]
    process = subprocess.Popen([*command, "--out", "dataset", *assignments], cwd=tmp_path)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(finished := _finished(tmp_path, phase)) < 3:
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    tree = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(tree, timeout=30)[1], "a worker outlived its command"
    assert not (tmp_path / "dataset").exists()

    worked: list[str] = []

    def recording(units: Iterable[Unit]) -> Iterator[Unit]:
        for unit in work_here(units, workers=2):
            worked.append(f"{'identified' if isinstance(unit, IdentifyUnit) else 'built'}/{unit.number}")
            yield unit

    ref = run(PARAMS, PrepareInputs(str(table)), str(tmp_path / "dataset"), Store(), recording)
    assert ref.digest == uninterrupted.digest
    assert not {f"{phase}/{int(path.stem.removeprefix('unit-'))}" for path in finished} & set(worked)
    assert worked
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def _finished(folder: Path, phase: str) -> list[Path]:
    return sorted((folder / ".work").glob(f"dataset-*/{phase}/unit-*.parquet"))
