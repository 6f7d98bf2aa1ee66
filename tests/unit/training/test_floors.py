"""The losses of a network that knows nothing, by hand and on real molecules."""

import math

import numpy as np
import pytest
import torch

from unimol2_model import Molecule, MoleculeBatch, UniMol2ForPretraining
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.datasets.collation import LabelledBatch, PretrainingSamples
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.order import Visit
from unimol2_tasks.params import Params, PretrainParams
from unimol2_tasks.training.floors import element_counts, loss_floors
from unimol2_tasks.training.network import new_pretraining_model

CARBON, NITROGEN, OXYGEN = 6, 7, 8


@pytest.fixture(scope="module")
def dataset(tiny_dataset: ArtifactRef) -> MoleculeDataset:
    return open_dataset(tiny_dataset.uri)


class HandMade:
    """The molecules of an index, whatever the epoch."""

    def __init__(self, molecules: list[Molecule]) -> None:
        self.molecules = molecules

    def __getitem__(self, visits: list[Visit]) -> LabelledBatch:
        chosen = [self.molecules[visit.index] for visit in visits]
        return LabelledBatch(MoleculeBatch.collate(chosen), None)


def molecule(true: list[int], masked: list[int], shift: list[float]) -> Molecule:
    """Atoms on the x axis at 0, 1, 2 … Å of which the last has been moved by `shift`."""
    n = len(true)
    clean = np.zeros((n, 3), dtype=np.float32)
    clean[:, 0] = np.arange(n)
    noised = clean.copy()
    noised[-1] += np.array(shift, dtype=np.float32)
    targets = np.array([token if place in masked else 0 for place, token in enumerate(true)])
    return Molecule(
        tokens=np.where(targets != 0, 127, np.array(true)),
        atom_features=np.ones((n, 8), np.uint8),
        degrees=np.ones(n, np.uint8),
        bond_features=np.ones((n, n, 3), np.uint8),
        path_lengths=np.ones((n, n), np.uint16),
        pair_types=np.ones((n, n, 2), np.uint16),
        positions=noised,
        target_tokens=targets,
        target_positions=clean,
    )


# Of 10 atoms of training molecules 6 are carbon, 3 nitrogen, 1 oxygen.
COUNTS = np.bincount([CARBON] * 6 + [NITROGEN] * 3 + [OXYGEN], minlength=128)
MOLECULES = [
    molecule([CARBON, NITROGEN], masked=[0, 1], shift=[1.0, 0.0, 0.0]),
    molecule([CARBON, CARBON, OXYGEN, CARBON], masked=[2], shift=[0.0, 0.0, 0.0]),
]


def test_floors_are_those_of_a_calculation_by_hand() -> None:
    floors = loss_floors(HandMade(MOLECULES), [[Visit(0, 0), Visit(0, 1)]], COUNTS)
    # Laid down are 10 counts and one for each of the 125 other tokens.
    of = {token: -math.log(count / 135) for token, count in ((CARBON, 6), (NITROGEN, 3), (OXYGEN, 1))}
    assert floors["floor/atom_type"] == pytest.approx(((of[CARBON] + of[NITROGEN]) / 2 + of[OXYGEN]) / 2)
    assert floors["floor/accuracy"] == pytest.approx((1 / 2 + 0) / 2)
    # One of two atoms is 1 Å away, so 2 of the 4 ordered pairs are 1 Å too long; the other molecule is clean.
    assert floors["floor/coordinate"] == pytest.approx(0.5 / 2)
    assert floors["floor/distance"] == pytest.approx(0.5 / 2)


def test_floors_do_not_depend_on_how_batches_are_cut(dataset: MoleculeDataset) -> None:
    samples = PretrainingSamples(dataset, PretrainParams())
    counts = element_counts(dataset, dataset.indices("train"))
    visits = [Visit(7, int(index)) for index in dataset.indices("valid")]
    whole = loss_floors(samples, [visits], counts)
    assert loss_floors(samples, [[visit] for visit in visits], counts) == pytest.approx(whole, rel=1e-6)


def test_a_network_that_leaves_positions_alone_stands_on_the_floor(
    dataset: MoleculeDataset, tiny_params: Params
) -> None:
    model = new_pretraining_model(tiny_params.model, seed=0).eval()
    silence_position_head(model)
    samples = PretrainingSamples(dataset, tiny_params.pretrain)
    visits = [Visit(0, int(index)) for index in dataset.indices("valid")]
    floors = loss_floors(samples, [visits], element_counts(dataset, dataset.indices("train")))
    with torch.no_grad():
        loss = model.loss(samples[visits].molecules)
    assert floors["floor/coordinate"] == pytest.approx(float(loss.coordinate), rel=1e-5)
    assert floors["floor/distance"] == pytest.approx(float(loss.distance), rel=1e-5)
    assert floors["floor/atom_type"] < math.log(128), "shares of elements have to be better than no idea"


def silence_position_head(model: UniMol2ForPretraining) -> None:
    for parameter in model.position_head.parameters():
        torch.nn.init.zeros_(parameter)


def test_noise_is_what_the_coordinate_floor_measures(dataset: MoleculeDataset) -> None:
    counts = element_counts(dataset, dataset.indices("train"))
    visits = [Visit(0, int(index)) for index in dataset.indices("train")]
    still = PretrainingSamples(dataset, PretrainParams(noise_scale=0.0))
    assert loss_floors(still, [visits], counts)["floor/coordinate"] < 1e-5
    noised = PretrainingSamples(dataset, PretrainParams(noise_scale=0.2))
    # The mean |x| of a Gaussian is √(2/π) of its width, in each of three directions; alignment takes six
    # degrees of freedom of it away.
    assert 0.3 < loss_floors(noised, [visits], counts)["floor/coordinate"] < 3 * math.sqrt(2 / math.pi) * 0.2


def test_elements_are_counted_over_all_molecules_or_an_even_sample(dataset: MoleculeDataset) -> None:
    train = dataset.indices("train")
    counts = element_counts(dataset, train)
    assert counts.shape == (128,)
    assert counts.sum() == dataset.atoms[train].sum()
    assert counts.argmax() == CARBON
    assert element_counts(dataset, train, limit=3).sum() < counts.sum()


def test_floors_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="give at least one batch"):
        loss_floors(HandMade(MOLECULES), [], COUNTS)
