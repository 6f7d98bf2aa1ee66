"""The inference job: a file of values for each file of molecules, and none of them twice."""

import json
from pathlib import Path

import numpy as np
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.chemistry.preparation import prepare_molecule
from unimol2_tasks.datasets.molecule_files import molecule_file, write_molecules
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.params import Params, PrepareParams, parse_params
from unimol2_tasks.training.inference_job import VALUES, predict
from unimol2_tasks.training.job import Job, RunFolder, Stopped

UNITS = (("CCO", "C"), ("c1ccccc1", "N", "CCC"))
PARAMS = parse_params({"predict": {"batch_size": 1, "threads": 1}})


@pytest.fixture
def molecules(tmp_path: Path) -> Path:
    params = PrepareParams(conformers=1)
    for number, unit in enumerate(UNITS):
        path = tmp_path / molecule_file(f"unit-{number}")
        path.parent.mkdir(exist_ok=True)
        records = [
            MoleculeRecord.of(prepare_molecule(text, params), k + 1, text) for k, text in enumerate(unit)
        ]
        write_molecules(path, records)
    return tmp_path


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def job(molecules: Path, predictor: ArtifactRef, params: Params = PARAMS) -> Job:
    return Job(kind="predict", dataset=molecules, model=Path(predictor.uri), params=params)


def values(run: RunFolder) -> dict[str, tuple[int, ...]]:
    return {path.name: np.load(path).shape for path in sorted((run.path / VALUES).glob("*.npy"))}


def test_each_file_of_molecules_gets_its_values(
    molecules: Path, run: RunFolder, small_ensemble: ArtifactRef
) -> None:
    predict(job(molecules, small_ensemble), run, lambda: False)
    assert values(run) == {"unit-0.npy": (2, 3, 5), "unit-1.npy": (3, 3, 5)}
    assert run.result.is_dir()
    assert json.loads(run.heartbeat.read_text()) == {"step": 5, "steps": 5, "detail": "", "rows": 5}


def test_every_pass_is_a_sign_of_life(molecules: Path, run: RunFolder, small_ensemble: ArtifactRef) -> None:
    """Three members visit each of the five molecules; the supervisor takes an unchanged beat for a hang."""
    beats: list[float] = []

    def follow() -> bool:
        beats.append(json.loads(run.heartbeat.read_text())["rows"])
        return False

    predict(job(molecules, small_ensemble), run, follow)
    assert len(set(beats)) == 3 * 5


def test_a_job_that_was_stopped_goes_on_with_the_files_without_values(
    molecules: Path, run: RunFolder, small_predictor: ArtifactRef
) -> None:
    def stop() -> bool:
        return bool(values(run))

    with pytest.raises(Stopped):
        predict(job(molecules, small_predictor), run, stop)
    assert list(values(run)) == ["unit-0.npy"]
    assert not run.result.exists()
    first = (run.path / VALUES / "unit-0.npy").stat().st_mtime_ns
    predict(job(molecules, small_predictor), run, lambda: False)
    assert list(values(run)) == ["unit-0.npy", "unit-1.npy"]
    assert (run.path / VALUES / "unit-0.npy").stat().st_mtime_ns == first
