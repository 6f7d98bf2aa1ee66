"""A training run is found again, and its artifact says how it was made."""

import json
from pathlib import Path
from typing import Any

import pytest

from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef, Manifest
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import TrainingFailed
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import training_job
from unimol2_tasks.stages.training_job import train_artifact
from unimol2_tasks.training.continuation import SETTINGS, determining
from unimol2_tasks.training.job import Job, RunFolder, write_json


class Training:
    """Stands in for the supervisor: leaves what a run leaves, and remembers where."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.interrupted = False

    def __call__(self, job: Job, run: RunFolder, ranks: int, threads: int | None = None) -> None:
        self.folders.append(run.path)
        run.path.mkdir(parents=True, exist_ok=True)
        if run.result.is_dir():
            return
        run.job.write_text(job.model_dump_json())
        if self.interrupted:
            raise TrainingFailed("the machine is gone")
        run.result.mkdir()
        (run.result / "weights").write_bytes(b"0")


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    fake = Training()
    monkeypatch.setattr(training_job, "supervise", fake)
    monkeypatch.setattr(training_job, "arrow_folder", lambda dataset: dataset)
    return fake


def params(**changes: Any) -> Params:
    return parse_params({"pretrain": {"batch_size": 8, **changes}})


def train(folder: Path, chosen: Params, name: str = "model") -> ArtifactRef:
    recipe = Recipe("model", {"model": {}, "pretrain": determining(chosen.pretrain)}, {"dataset": "0" * 64})
    job = Job(kind="pretrain", dataset=folder / "dataset", params=chosen)
    return train_artifact(job, chosen.pretrain, recipe, str(folder / name), Store())


def manifest(ref: ArtifactRef) -> Manifest:
    return Manifest.model_validate(json.loads((Path(ref.uri) / MANIFEST).read_text()))


def test_an_interrupted_run_goes_on_with_other_ranks_and_the_recipe_names_the_last(
    tmp_path: Path, training: Training
) -> None:
    training.interrupted = True
    with pytest.raises(TrainingFailed):
        train(tmp_path, params(ranks=1))
    training.interrupted = False
    ref = train(tmp_path, params(ranks=2, zero_stage=1, micro_batch_size=2))
    assert training.folders[0] == training.folders[1]
    assert manifest(ref).params["pretrain"]["ranks"] == 2
    assert not training.folders[0].exists()


def test_another_learning_rate_is_another_run(tmp_path: Path, training: Training) -> None:
    training.interrupted = True
    for chosen in (params(), params(learning_rate=1e-3)):
        with pytest.raises(TrainingFailed):
            train(tmp_path, chosen)
    assert training.folders[0] != training.folders[1]


def test_runs_of_other_ranks_for_two_artifacts_are_two_runs(tmp_path: Path, training: Training) -> None:
    training.interrupted = True
    for ranks in (1, 2):
        with pytest.raises(TrainingFailed):
            train(tmp_path, params(ranks=ranks), f"model-{ranks}")
    assert training.folders[0] != training.folders[1]


def test_a_result_that_waits_for_its_publication_is_described_by_what_made_it(
    tmp_path: Path, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_power(*_: object, **__: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(Store, "publish", lose_power)
        with pytest.raises(ConnectionResetError):
            train(tmp_path, params(ranks=4))
    assert manifest(train(tmp_path, params(ranks=1))).params["pretrain"]["ranks"] == 4


def test_speed_and_settings_of_the_run_stand_in_the_manifest_but_not_in_the_digest(
    tmp_path: Path, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [{"from_step": 0, "ranks": 2}, {"from_step": 40, "ranks": 1}]

    def measured(job: Job, run: RunFolder, *others: Any) -> None:
        training(job, run, *others)
        write_json(run.speed, {"molecules_per_second": 12.5, "device": "cpu"})
        write_json(run.path / SETTINGS, {"settings": settings})

    bare = train(tmp_path / "bare", params())
    monkeypatch.setattr(training_job, "supervise", measured)
    ref = train(tmp_path / "measured", params())
    run = manifest(ref).run
    assert run["molecules_per_second"] == 12.5
    assert run["device"] == "cpu"
    assert run["settings"] == settings
    assert run["seconds"] >= 0
    assert ref.digest == bare.digest
