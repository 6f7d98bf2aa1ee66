"""Predictions do not depend on which molecules share a forward pass, or on which rank computes them."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from unimol2_model import ModelConfig, MoleculeBatch, UniMol2ForProperties
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.views import WHOLE, View
from unimol2_tasks.training.inference import Share, predict_molecules
from unimol2_tasks.training.job import Stopped
from unimol2_tasks.training.validation import Judged

CPU = torch.device("cpu")


class Recorded:
    """A network that remembers the shapes it saw."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        config = ModelConfig(blocks=1, atom_dim=16, heads=2, ffn_dim=16, pair_dim=8, pair_hidden_dim=4)
        self.model = UniMol2ForProperties(config, outputs=2).eval()
        with torch.no_grad():
            for parameter in self.model.parameters():  # a fresh network looks at no atom
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
        self.shapes: list[tuple[int, int]] = []

    def __call__(self, batch: MoleculeBatch) -> torch.Tensor:
        self.shapes.append((batch.size, batch.tokens.shape[1]))
        outputs: torch.Tensor = self.model(batch)
        return outputs


@pytest.fixture(scope="module")
def dataset(tiny_dataset: ArtifactRef) -> MoleculeDataset:
    return open_dataset(tiny_dataset.uri)


def _predict(
    network: Recorded,
    dataset: MoleculeDataset,
    batch_size: int,
    share: Share = Share(),
    view: View = WHOLE,
) -> NDArray[np.float64]:
    indices = np.arange(len(dataset))[::-1]
    return predict_molecules(network, dataset, indices, batch_size, CPU, share, view=view)


@pytest.mark.parametrize("view", [WHOLE, View(features=False, drawing=True, conformers=2)])
def test_company_changes_no_prediction(dataset: MoleculeDataset, view: View) -> None:
    network = Recorded()
    alone, together = (_predict(network, dataset, batch_size, view=view) for batch_size in (1, 1024))
    assert np.ptp(alone, axis=0).min() > 1e-3
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5 * np.abs(alone).max())


def test_a_prediction_is_the_mean_over_the_geometries_of_its_view(dataset: MoleculeDataset) -> None:
    network, view = Recorded(), View(drawing=True)
    index = next(k for k in range(len(dataset)) if dataset.record(k).conformers == 2)
    record = dataset.record(index)
    shown = [record.molecule(0), record.molecule(1), record.molecule(flat=True)]
    with torch.no_grad():
        expected = torch.stack([network(MoleculeBatch.collate([one]))[0] for one in shown]).mean(dim=0)
    predicted = predict_molecules(network, dataset, np.array([index]), 8, CPU, view=view)
    np.testing.assert_allclose(predicted[0], expected.numpy(), rtol=1e-5)


def test_passes_hold_few_conformers_and_few_pairs(dataset: MoleculeDataset) -> None:
    network = Recorded()
    _predict(network, dataset, batch_size=20)
    assert sum(size for size, _ in network.shapes) == dataset.conformers.sum()
    assert max(size for size, _ in network.shapes) == 20
    network.shapes.clear()
    _predict(network, dataset, batch_size=1024)
    assert all(size == 1 or size * (atoms + 1) ** 2 <= 4096 for size, atoms in network.shapes)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_sum_to_the_whole_in_equally_many_passes(dataset: MoleculeDataset, ranks: int) -> None:
    networks = [Recorded() for _ in range(ranks)]
    parts = [_predict(network, dataset, 7, Share(rank, ranks)) for rank, network in enumerate(networks)]
    np.testing.assert_allclose(np.sum(parts, axis=0), _predict(Recorded(), dataset, 7), rtol=1e-5, atol=1e-7)
    assert len({len(network.shapes) for network in networks}) == 1


def test_what_is_asked_after_a_pass_may_end_the_work(dataset: MoleculeDataset) -> None:
    network, told = Recorded(), list[int]()

    def progress(done: int) -> None:
        told.append(done)
        if len(told) == 2:
            raise Stopped

    judged = Judged(dataset, np.arange(len(dataset)), np.zeros((len(dataset), 2)))
    with pytest.raises(Stopped):
        judged.outputs(network, CPU, progress=progress)
    assert len(network.shapes) == 2
    assert told == [network.shapes[0][0], network.shapes[0][0] + network.shapes[1][0]]
    assert judged.geometries == dataset.conformers.sum()


def test_predicting_nothing_is_refused(dataset: MoleculeDataset) -> None:
    with pytest.raises(ValueError, match="no molecule to predict"):
        predict_molecules(Recorded(), dataset, np.empty(0, np.int64), 8, CPU)
