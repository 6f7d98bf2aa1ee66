"""Layers that learn later, slower or never: the same on any ZeRO stage, and after an interruption."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from training_jobs import in_ranks

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import FinetuneParams
from unimol2_tasks.training.job import Job, RunFolder
from unimol2_tasks.training.layer_groups import layer_groups
from unimol2_tasks.training.network import new_property_model, read_targets

_STAGED = {
    "unfreeze_epochs": 1,
    "layer_decay": 0.5,
    "head": "multitask",
    "ema_decay": 0.5,
    "keep_checkpoints": 20,
}
_STEPS_PER_EPOCH = 3
VARIANTS: dict[str, dict[str, Any]] = {
    **{f"staged-{stage}": {**_STAGED, "zero_stage": stage} for stage in range(4)},
    # Judged at the ends alone: else the best weights may be those before the block has woken.
    "staged-for-two-epochs": {
        **_STAGED,
        "unfreeze_epochs": 2,
        "ema_decay": None,
        "epochs": 3,
        "validate_every_epochs": 3,
    },
    # Learns so slowly that no validation is better than the first.
    "staged-and-impatient": {"unfreeze_epochs": 2, "epochs": 6, "patience": 1, "learning_rate": 1e-12},
    "frozen-0": {"freeze_backbone": True},
    "frozen-bf16": {"freeze_backbone": True, "precision": "bf16"},
    "frozen-3": {"freeze_backbone": True, "zero_stage": 3, "ema_decay": 0.5, "keep_checkpoints": 20},
}


@pytest.fixture(scope="module")
def runs(train: Any) -> dict[str, RunFolder]:
    runs: dict[str, RunFolder] = train("finetune", VARIANTS)
    return runs


@pytest.fixture(scope="module")
def continued(
    runs: dict[str, RunFolder], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], RunFolder]:
    """Runs that were given a checkpoint of another's middle, by its name and their number of ranks."""
    folder = tmp_path_factory.mktemp("continued")
    made = {}
    for name, ranks in (("staged-0", 2), ("staged-1", 2), ("staged-2", 1), ("frozen-3", 2)):
        run = RunFolder(folder / f"{name}-{ranks}")
        made[name, ranks] = run
        job = Job.model_validate_json(runs[name].job.read_text())
        finetune = job.params.finetune.model_copy(update={"ranks": ranks})
        job = job.model_copy(update={"params": job.params.model_copy(update={"finetune": finetune})})
        middle = "step-000000004"
        shutil.copytree(runs[name].checkpoints / middle, run.checkpoints / middle)
        run.job.write_text(job.model_dump_json())
    for ranks in (1, 2):
        started = [run for (_, count), run in made.items() if count == ranks]
        done = in_ranks(ranks, started)
        assert all(run.result.is_dir() for run in started), done.stderr[-3000:]
    return made


def _weights(run: RunFolder) -> dict[str, np.ndarray[Any, Any]]:
    return load_file(run.result / "model.safetensors")


def _at_the_start(run: RunFolder) -> dict[str, np.ndarray[Any, Any]]:
    params = Job.model_validate_json(run.job.read_text()).params
    network = new_property_model(params.model, None, read_targets(run.result), 0.0, params.finetune.seed)
    return {name: weight.numpy() for name, weight in network.state_dict().items()}


def _curve(run: RunFolder, name: str) -> list[float]:
    with (run.result / "curve.csv").open(newline="") as stream:
        return [float(row[name]) for row in csv.DictReader(stream) if row[name]]


def _metrics(run: RunFolder) -> dict[str, float]:
    metrics: dict[str, float] = json.loads((run.result / "metrics.json").read_text())
    return metrics


def test_layers_wake_from_the_top_and_learn_the_slower_the_deeper(runs: dict[str, RunFolder]) -> None:
    run = runs["staged-0"]
    params = Job.model_validate_json(run.job.read_text()).params
    network = new_property_model(params.model, None, read_targets(run.result), 0.0, 0)
    groups = layer_groups(network, params.finetune, _STEPS_PER_EPOCH)
    assert [(group.rate, group.start) for group in groups] == [(1.0, 0), (0.125, 6), (0.25, 6), (0.5, 3)]
    assert [[group.factor(step) for group in groups] for step in (0, 3, 6)] == [
        [1, 0, 0, 0],
        [1, 0, 0, 0.5],
        [1, 0.125, 0.25, 0.5],
    ]
    ours = {id(weight) for group in groups for weight in group.weights}
    assert ours == {id(weight) for weight in network.parameters()}
    (alike,) = layer_groups(network, FinetuneParams(), _STEPS_PER_EPOCH)
    assert [*map(id, alike.weights)] == [*map(id, network.parameters())]


def test_what_is_not_unfrozen_yet_has_not_moved_by_a_bit(runs: dict[str, RunFolder]) -> None:
    """Three epochs of which two belong to the head: only the highest block has joined it."""
    run = runs["staged-for-two-epochs"]
    before, after = _at_the_start(run), _weights(run)
    moved = {name for name, weight in after.items() if not np.array_equal(weight, before[name])}
    assert {name.split(".")[1] for name in moved if name.startswith("head.")} == {"labels"}
    below = {name for name in moved if name.startswith("backbone.")}
    assert below == {name for name in below if name.startswith("backbone.blocks.1.")} != set()


def test_patience_waits_for_the_last_layers_to_learn(runs: dict[str, RunFolder]) -> None:
    """They begin after four of six epochs, and the first validation after that is one too many."""
    assert _curve(runs["staged-and-impatient"], "step")[-1] == 5 * _STEPS_PER_EPOCH


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_every_zero_stage_learns_the_same_in_stages(runs: dict[str, RunFolder], stage: int) -> None:
    expected, run = runs["staged-0"], runs[f"staged-{stage}"]
    assert _curve(run, "valid/loss") == pytest.approx(_curve(expected, "valid/loss"), rel=1e-5)
    assert _curve(run, "learning_rate") == _curve(expected, "learning_rate")
    assert _metrics(run) == pytest.approx(_metrics(expected), rel=1e-4)


@pytest.mark.parametrize("name", ["staged-0", "staged-1", "frozen-3"])
def test_an_interrupted_run_ends_with_the_same_bytes(
    runs: dict[str, RunFolder], continued: dict[tuple[str, int], RunFolder], name: str
) -> None:
    whole, resumed = runs[name].result, continued[name, 2].result
    for path in whole.iterdir():
        assert (resumed / path.name).read_bytes() == path.read_bytes(), path.name


def test_another_number_of_ranks_goes_on_with_all_groups(
    runs: dict[str, RunFolder], continued: dict[tuple[str, int], RunFolder]
) -> None:
    whole, resumed = runs["staged-2"], continued["staged-2", 1]
    assert _curve(resumed, "learning_rate") == _curve(whole, "learning_rate")
    assert _curve(resumed, "valid/loss") == pytest.approx(_curve(whole, "valid/loss"), rel=1e-5)


@pytest.mark.parametrize("name", ["frozen-0", "frozen-bf16", "frozen-3"])
def test_a_frozen_backbone_is_published_as_it_was(runs: dict[str, RunFolder], name: str) -> None:
    before, after = _at_the_start(runs[name]), _weights(runs[name])
    for weight in before:
        assert np.array_equal(before[weight], after[weight]) == weight.startswith("backbone."), weight


def test_a_frozen_backbone_is_neither_differentiated_nor_thinned_out(
    runs: dict[str, RunFolder], tiny_dataset: ArtifactRef
) -> None:
    from unimol2_model.batch import MoleculeBatch
    from unimol2_tasks.datasets.dataset import open_dataset

    run = runs["frozen-0"]
    job = Job.model_validate_json(run.job.read_text())
    model = job.params.model.model_copy(update={"dropout": 0.5})
    network = new_property_model(model, None, read_targets(run.result), 0.0, 0)
    record = open_dataset(Path(tiny_dataset.uri)).record(0)
    batch = MoleculeBatch.collate([record.molecule()])
    with torch.no_grad():
        for weight in network.parameters():  # a fresh network looks at no atom
            weight.add_(torch.randn_like(weight), alpha=0.3)
    network.train()
    assert not torch.equal(network.embed(batch), network.embed(batch))
    network.freeze_backbone()
    network.train()
    assert not network.embed(batch).requires_grad
    assert torch.equal(network.embed(batch), network.embed(batch))
    assert network(batch).requires_grad
