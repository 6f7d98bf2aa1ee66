"""Laws that hold for every molecule: rotation, translation, atom order, batch, padding."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import random_model, random_molecule, reorder

from unimol2_model import Molecule, MoleculeBatch, UniMol2ForPretraining
from unimol2_model.pretraining import PretrainingOutput

Case = tuple[UniMol2ForPretraining, list[Molecule]]


def _alone(model: UniMol2ForPretraining, molecule: Molecule) -> PretrainingOutput:
    return model(MoleculeBatch.collate([molecule]))


def _close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def _rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


@torch.no_grad()
def test_rotation_and_translation(case: Case) -> None:
    model, molecules = case
    turn, shift = _rotation(3), np.array([1.5, -2.0, 0.7])
    for molecule in molecules:
        moved = replace(molecule, positions=(molecule.positions @ turn.T + shift).astype(np.float32))
        before, after = _alone(model, molecule), _alone(model, moved)
        _close(after.atoms, before.atoms)
        _close(after.pairs, before.pairs)
        expected = before.positions.numpy() @ turn.T + shift
        _close(after.positions, torch.from_numpy(expected.astype(np.float32)))


@torch.no_grad()
def test_atom_order(case: Case) -> None:
    model, molecules = case
    for molecule in molecules:
        order = np.random.default_rng(5).permutation(molecule.atoms)
        places = torch.from_numpy(np.concatenate([[0], order + 1]))
        before, after = _alone(model, molecule), _alone(model, reorder(molecule, order))
        _close(after.atoms, before.atoms[:, places])
        _close(after.pairs, before.pairs[:, places][:, :, places])
        _close(after.positions, before.positions[:, order])


@pytest.mark.parametrize("extra", [0, 9], ids=["largest molecule", "padded further"])
@torch.no_grad()
def test_neighbours_and_padding_change_nothing(case: Case, extra: int) -> None:
    model, molecules = case
    width = max(molecule.atoms for molecule in molecules) + extra
    batch = MoleculeBatch.collate(molecules, pad_to_atoms=width)
    together, losses = model(batch), model.loss(batch)
    for k, molecule in enumerate(molecules):
        alone, n = _alone(model, molecule), molecule.atoms
        _close(together.atoms[k, : n + 1], alone.atoms[0])
        _close(together.pairs[k, : n + 1, : n + 1], alone.pairs[0])
        _close(together.positions[k, :n], alone.positions[0])
        _close(losses.per_molecule[k], model.loss(MoleculeBatch.collate([molecule])).total)


@torch.no_grad()
def test_padding_stays_zero(case: Case) -> None:
    model, molecules = case
    batch = MoleculeBatch.collate(molecules, pad_to_atoms=20)
    out = model(batch)
    for k, molecule in enumerate(molecules):
        n = molecule.atoms
        assert not out.atoms[k, n + 1 :].any()
        assert not out.pairs[k, n + 1 :].any()
        assert not out.pairs[k, :, n + 1 :].any()
        assert not out.positions[k, n:].any()


def test_gradient_of_a_batch_is_the_mean_of_its_molecules(case: Case) -> None:
    model, molecules = case

    def gradient(batch: list[Molecule]) -> torch.Tensor:
        model.zero_grad()
        model.loss(MoleculeBatch.collate(batch)).total.backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    together = gradient(molecules)
    _close(together, torch.stack([gradient([molecule]) for molecule in molecules]).mean(dim=0))


@torch.no_grad()
def test_padded_rule_depends_on_the_batch() -> None:
    model, molecule = random_model(length_rule="padded"), random_molecule(5, seed=1)
    alone, padded = (MoleculeBatch.collate([molecule], pad_to_atoms=n) for n in (5, 30))
    assert not torch.allclose(model(padded).pairs[:, :6, :6], model(alone).pairs, rtol=1e-2)


@torch.no_grad()
def test_a_molecule_without_masked_atoms_has_no_atom_type_loss() -> None:
    bare = replace(random_molecule(4, seed=2), target_tokens=np.zeros(4, dtype=int))
    loss = random_model().loss(MoleculeBatch.collate([bare, random_molecule(6, seed=3)]))
    assert loss.atom_type_per_molecule[0] == 0
    assert loss.atom_type_per_molecule[1] > 0
    assert random_model().loss(MoleculeBatch.collate([bare])).total.isfinite()


@torch.no_grad()
def test_terms_sum_to_the_total(case: Case) -> None:
    model, molecules = case
    loss = model.loss(MoleculeBatch.collate(molecules))
    torch.testing.assert_close(loss.total, loss.atom_type + loss.coordinate + loss.distance)
    torch.testing.assert_close(loss.total, loss.per_molecule.mean())


def test_loss_without_targets_names_the_field() -> None:
    bare = replace(random_molecule(4, seed=2), target_tokens=None, target_positions=None)
    with pytest.raises(ValueError, match="target_tokens"):
        random_model().loss(MoleculeBatch.collate([bare]))
