"""The three terms of the pretraining loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from real_molecules import real_molecules
from small_networks import random_model, random_molecule

from unimol2_model import MoleculeBatch


@torch.no_grad()
def test_terms_sum_to_the_total() -> None:
    loss = random_model().loss(MoleculeBatch.collate([real_molecules()[place] for place in (0, 5, 20, 30)]))
    torch.testing.assert_close(loss.total, loss.atom_type + loss.coordinate + loss.distance)
    torch.testing.assert_close(loss.total, loss.per_molecule.mean())


@torch.no_grad()
def test_a_molecule_without_masked_atoms_has_no_atom_type_loss() -> None:
    bare = replace(random_molecule(4, seed=2), target_tokens=np.zeros(4, dtype=int))
    loss = random_model().loss(MoleculeBatch.collate([bare, random_molecule(6, seed=3)]))
    assert loss.atom_type_per_molecule[0] == 0
    assert loss.atom_type_per_molecule[1] > 0
    assert random_model().loss(MoleculeBatch.collate([bare])).total.isfinite()


def test_loss_without_targets_names_the_field() -> None:
    bare = replace(random_molecule(4, seed=2), target_tokens=None, target_positions=None)
    with pytest.raises(ValueError, match="target_tokens"):
        random_model().loss(MoleculeBatch.collate([bare]))
