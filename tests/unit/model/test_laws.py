"""Laws that hold for every molecule: rotation, translation, atom order, batch, padding."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from real_molecules import PEPTIDE, POOL_SIZE, SINGLE_ATOM, real_molecules
from released_values import Golden
from scipy.spatial.transform import Rotation
from small_networks import random_model, reorder

from unimol2_model import Molecule, MoleculeBatch, UniMol2ForPretraining
from unimol2_model.pretraining import pretraining_loss

# Largest error of an output or loss term, relative to its largest entry.
FP32_BOUND = 1e-5
# Moved coordinates are rounded anew; over the pool that alone costs up to 1.0e-5, because a Gaussian of the
# distance embedding is only 0.07 Å wide.
MOVED_FP32_BOUND = 2e-5
# With its 8 bits of mantissa bf16 rounds by up to 2⁻⁹, once per operation, and sums in another order end in
# other roundings; over the pool that reaches 1.8e-2.
BF16_BOUND = 4e-2

Result = dict[str, torch.Tensor]

places = st.integers(0, POOL_SIZE - 1)
seeds = st.integers(0, 2**31)
few = settings(deadline=None, max_examples=15)


class Network:
    """A network, and what each molecule of the pool gets from it alone."""

    def __init__(self, model: UniMol2ForPretraining, bound: float = FP32_BOUND) -> None:
        self.model = model
        self.bound = bound
        self.alone = cache(lambda place: self.results([real_molecules()[place]])[0])

    @torch.no_grad()
    def results(self, molecules: Sequence[Molecule], padding: int = 0) -> list[Result]:
        """Every output and loss term of each molecule, in a batch padded by so many atoms."""
        width = max(molecule.atoms for molecule in molecules) + padding
        batch = MoleculeBatch.collate(molecules, buckets=[width])
        output = self.model(batch)
        loss = pretraining_loss(output, batch)
        assert batch.target_tokens is not None
        logits = output.atom_logits.split((batch.target_tokens != 0).sum(dim=1).tolist())
        return [
            {
                "atoms": output.atoms[k, : molecule.atoms + 1],
                "pairs": output.pairs[k, : molecule.atoms + 1, : molecule.atoms + 1],
                "positions": output.positions[k, : molecule.atoms],
                "atom_logits": logits[k],
                "atom_type": loss.atom_type_per_molecule[k],
                "coordinate": loss.coordinate_per_molecule[k],
                "distance": loss.distance_per_molecule[k],
            }
            for k, molecule in enumerate(molecules)
        ]


@pytest.fixture(scope="module", params=["random", "golden", "random in bf16"])
def network(request: pytest.FixtureRequest) -> Network:
    if request.param == "random in bf16":
        return Network(random_model().to(torch.bfloat16), BF16_BOUND)
    if request.param == "random":
        return Network(random_model())
    golden: Golden = request.getfixturevalue("golden")
    return Network(golden.model())


def _check(actual: Result, expected: Result, bound: float) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        error, largest = (actual[name].float() - value.float()).abs().max(), value.abs().max()
        assert error <= bound * largest, f"{name}: off by {error:.2e}, the largest entry is {largest:.2e}"


@few
@given(place=places, turn=seeds, shift=st.tuples(*[st.floats(-5, 5)] * 3))
@example(place=SINGLE_ATOM, turn=0, shift=(1.5, -2.0, 0.7))
@example(place=PEPTIDE, turn=0, shift=(1.5, -2.0, 0.7))
def test_rotation_and_translation(
    network: Network, place: int, turn: int, shift: tuple[float, float, float]
) -> None:
    molecule, before = real_molecules()[place], network.alone(place)
    rotation = Rotation.random(rng=turn)

    def moved(positions: np.ndarray) -> np.ndarray:
        return (rotation.apply(positions) + shift).astype(np.float32)

    assert molecule.target_positions is not None
    sample = replace(
        molecule, positions=moved(molecule.positions), target_positions=moved(molecule.target_positions)
    )
    after = network.results([sample])[0]
    expected = before | {"positions": torch.from_numpy(moved(before["positions"].numpy()))}
    # A sum of absolute errors along x, y and z turns with the axes.
    del after["coordinate"], expected["coordinate"]
    _check(after, expected, max(network.bound, MOVED_FP32_BOUND))


@few
@given(place=places, seed=seeds)
@example(place=SINGLE_ATOM, seed=0)
@example(place=PEPTIDE, seed=0)
def test_atom_order(network: Network, place: int, seed: int) -> None:
    molecule, before = real_molecules()[place], network.alone(place)
    order = np.random.default_rng(seed).permutation(molecule.atoms)
    tokens = np.concatenate([[0], order + 1])
    assert molecule.target_tokens is not None
    masked = np.flatnonzero(molecule.target_tokens)
    expected = before | {
        "atoms": before["atoms"][tokens],
        "pairs": before["pairs"][tokens][:, tokens],
        "positions": before["positions"][order],
        "atom_logits": before["atom_logits"][np.argsort(np.argsort(order)[masked])],
    }
    _check(network.results([reorder(molecule, order)])[0], expected, network.bound)


@few
@given(batch=st.lists(places, min_size=1, max_size=6), padding=st.integers(0, 40))
@example(batch=[SINGLE_ATOM, 5, PEPTIDE, 30], padding=0)
@example(batch=[SINGLE_ATOM], padding=200)
@example(batch=[PEPTIDE], padding=24)
def test_neighbours_and_padding_change_nothing(network: Network, batch: list[int], padding: int) -> None:
    results = network.results([real_molecules()[place] for place in batch], padding)
    for place, result in zip(batch, results, strict=True):
        _check(result, network.alone(place), network.bound)


@torch.no_grad()
def test_padding_stays_zero(network: Network) -> None:
    molecules = [real_molecules()[place] for place in (SINGLE_ATOM, 5, PEPTIDE, 30)]
    out = network.model(MoleculeBatch.collate(molecules, buckets=[210]))
    for k, molecule in enumerate(molecules):
        n = molecule.atoms
        assert not out.atoms[k, n + 1 :].any()
        assert not out.pairs[k, n + 1 :].any()
        assert not out.pairs[k, :, n + 1 :].any()
        assert not out.positions[k, n:].any()


def test_gradient_of_a_batch_is_the_mean_of_its_molecules(network: Network) -> None:
    molecules = [real_molecules()[place] for place in (SINGLE_ATOM, 5, 20, 30, 35)]

    def gradient(batch: list[Molecule]) -> torch.Tensor:
        network.model.zero_grad()
        network.model.loss(MoleculeBatch.collate(batch)).total.backward()
        return torch.cat([p.grad.flatten() for p in network.model.parameters() if p.grad is not None])

    mean = torch.stack([gradient([molecule]) for molecule in molecules]).mean(dim=0)
    _check({"gradient": gradient(molecules)}, {"gradient": mean}, network.bound)


@torch.no_grad()
def test_padded_rule_depends_on_the_batch() -> None:
    model, molecule = random_model(length_rule="padded"), real_molecules()[5]
    n = molecule.atoms + 1
    alone, padded = (MoleculeBatch.collate([molecule], buckets=[size]) for size in (molecule.atoms, 30))
    assert not torch.allclose(model(padded).pairs[:, :n, :n], model(alone).pairs, rtol=1e-2)
