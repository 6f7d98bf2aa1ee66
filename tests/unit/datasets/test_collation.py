"""Batches, as the training loop draws them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.datasets.collation import LabelledBatch, LabelledSamples, PretrainingSamples, loader
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.order import Order, Visit, micro_batches
from unimol2_tasks.datasets.views import View
from unimol2_tasks.params import PretrainParams


@pytest.fixture(scope="module")
def dataset(tiny_dataset: ArtifactRef) -> MoleculeDataset:
    return open_dataset(tiny_dataset.uri)


def _tensors(batch: LabelledBatch) -> dict[str, torch.Tensor]:
    molecules: dict[str, Any] = {
        name: getattr(batch.molecules, name) for name in type(batch.molecules).__dataclass_fields__
    }
    return {name: value for name, value in {**molecules, "labels": batch.labels}.items() if value is not None}


def _assert_same(one: LabelledBatch, other: LabelledBatch) -> None:
    assert _tensors(one).keys() == _tensors(other).keys()
    for name, value in _tensors(one).items():
        torch.testing.assert_close(value, _tensors(other)[name], rtol=0, atol=0, equal_nan=True)


def test_a_sample_is_the_same_in_any_company(dataset: MoleculeDataset) -> None:
    samples = PretrainingSamples(dataset, PretrainParams())
    visits = [Visit(2, index) for index in (4, 0, 30, 17)]
    together = samples[visits].molecules
    for row, visit in enumerate(visits):
        alone = samples[[visit]].molecules
        atoms = alone.tokens.shape[1]
        for name in ("tokens", "target_tokens", "positions", "target_positions", "atom_features", "degrees"):
            assert torch.equal(getattr(alone, name)[0], getattr(together, name)[row, :atoms])
        assert torch.equal(together.atom_mask[row], torch.arange(together.tokens.shape[1]) < atoms)


def test_labels_are_the_chosen_columns_in_the_asked_order(dataset: MoleculeDataset) -> None:
    assert dataset.label_names == ("weight", "aromatic", "partial")
    batch = LabelledSamples(dataset, np.array([2, 0]), seed=0)[[Visit(0, index) for index in range(8)]]
    expected = np.stack([dataset.labels(index)[[2, 0]] for index in range(8)])
    assert batch.labels is not None
    assert batch.labels.dtype == torch.float64
    np.testing.assert_array_equal(batch.labels.numpy(), expected)
    assert torch.isnan(batch.labels).any(), "a label that nobody measured stays unknown"


def test_conformers_alternate_between_epochs_and_repeat_with_the_visit(dataset: MoleculeDataset) -> None:
    samples = LabelledSamples(dataset, np.array([0]), seed=0)
    index = next(k for k in range(len(dataset)) if dataset.record(k).conformers == 2)
    drawn = [samples[[Visit(epoch, index)]].molecules.positions.numpy().tobytes() for epoch in range(20)]
    assert len(set(drawn)) == 2
    assert drawn == [
        samples[[Visit(epoch, index)]].molecules.positions.numpy().tobytes() for epoch in range(20)
    ]


@pytest.mark.parametrize(("view", "seen"), [(View(drawing=True), 3), (View(conformers=1), 1)])
def test_training_draws_from_the_geometries_of_its_view(
    dataset: MoleculeDataset, view: View, seen: int
) -> None:
    samples = LabelledSamples(dataset, np.array([0]), seed=0, view=view)
    index = next(k for k in range(len(dataset)) if dataset.record(k).conformers == 2)
    drawn = [samples[[Visit(epoch, index)]].molecules.positions[0].numpy() for epoch in range(30)]
    assert len({positions.tobytes() for positions in drawn}) == seen
    flat = [positions for positions in drawn if not positions[:, 2].any()]
    assert bool(flat) == view.drawing


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_loader_gives_the_batches_of_its_plan_in_order(folder: Path, workers: int) -> None:
    dataset = open_dataset(folder)
    samples = PretrainingSamples(dataset, PretrainParams())
    order = Order(dataset.indices("train"), 0)
    plan = list(micro_batches(order, 3, 9, 8, 4, 1, 2))
    batches = loader(samples, plan, workers)
    for visits in plan:
        _assert_same(next(batches), samples[visits])


def test_the_loader_ends_with_its_plan(dataset: MoleculeDataset) -> None:
    plan = [[Visit(0, index)] for index in range(3)]
    assert len(list(loader(PretrainingSamples(dataset, PretrainParams()), plan))) == len(plan)


_LOAD = """
import sys
from unimol2_tasks.datasets.collation import PretrainingSamples, loader
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.datasets.order import Visit
from unimol2_tasks.params import PretrainParams
import psutil
samples = PretrainingSamples(open_dataset(sys.argv[1]), PretrainParams())
batches = loader(samples, ([Visit(epoch, 0)] for epoch in range(10**9)), workers=1)
next(batches)
print(*(child.pid for child in psutil.Process().children()), flush=True)
for batch in batches:
    pass
"""


def test_workers_end_with_a_process_that_is_killed_and_not_by_a_signal_of_a_scheduler(folder: Path) -> None:
    command = [sys.executable, "-c", _LOAD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        assert workers
        for worker in workers:
            worker.terminate()
        _, alive = psutil.wait_procs(workers, timeout=1)
        assert alive == workers
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive


def test_moving_a_batch_moves_all_of_it(dataset: MoleculeDataset) -> None:
    batch = LabelledSamples(dataset, np.array([0]), seed=0)[[Visit(0, 0)]]
    moved = batch.to(torch.device("meta"))
    assert {tensor.device.type for tensor in _tensors(moved).values()} == {"meta"}
