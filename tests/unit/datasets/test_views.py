"""What a network is shown of a stored molecule."""

import numpy as np
import pytest

from unimol2_tasks.chemistry.preparation import prepare_molecule
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.datasets.views import View
from unimol2_tasks.params import PrepareParams


@pytest.fixture(scope="module")
def record() -> MoleculeRecord:
    prepared = prepare_molecule("CC(N)C(=O)OCCC1CC1", PrepareParams(conformers=4, prune_rmsd=0))
    return MoleculeRecord.of(prepared, 1, "alanine ester")


@pytest.mark.parametrize(
    ("view", "stored", "seen"),
    [
        (View(drawing=True), 10, 11),
        (View(), 10, 10),
        (View(drawing=True), 20, 11),
        (View(drawing=True, conformers=1), 20, 1),
        (View(conformers=3), 2, 2),
    ],
)
def test_at_most_so_many_geometries_the_drawing_among_them(view: View, stored: int, seen: int) -> None:
    assert view.geometries(stored) == seen


def test_the_drawing_comes_after_the_conformers_of_lowest_energy(record: MoleculeRecord) -> None:
    view = View(drawing=True, conformers=3)
    shown = [view.molecule(record, k).positions for k in range(view.geometries(record.conformers))]
    np.testing.assert_array_equal(
        shown, [record.positions[0], record.positions[1], record.coordinates(flat=True)]
    )


def test_hidden_features_are_the_same_for_every_bond_and_the_elements_stay(record: MoleculeRecord) -> None:
    seen, hidden = (View(features=features).molecule(record, 0) for features in (True, False))
    np.testing.assert_array_equal(hidden.tokens, seen.tokens)
    np.testing.assert_array_equal(hidden.positions, seen.positions)
    for name in ("atom_features", "degrees", "bond_features", "path_lengths"):
        assert len(np.unique(getattr(seen, name))) > 1
        assert len(np.unique(getattr(hidden, name))) == 1, name
