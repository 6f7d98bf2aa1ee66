"""Two-dimensional descriptors."""

import numpy as np
import pytest

from unimol2_tasks.chemistry.descriptors import NAMES, descriptor_table, descriptors
from unimol2_tasks.chemistry.rejection import Rejected


def test_descriptors_by_hand() -> None:
    """Ethanol: 46.07 g/mol, three heavy atoms, one donor, no ring."""
    found = dict(zip(NAMES, descriptors("CCO").tolist(), strict=True))
    assert found["MolWt"] == pytest.approx(46.07, abs=0.01)
    assert (found["HeavyAtomCount"], found["NumHDonors"], found["RingCount"]) == (3, 1, 0)


def test_the_table_holds_a_row_per_molecule_in_order_whoever_computes_it() -> None:
    smiles = ["CCO", "c1ccccc1", "CC(=O)O", "[Na+].[Cl-]"]
    table = descriptor_table(smiles, workers=2)
    for row, text in zip(table, smiles, strict=True):
        np.testing.assert_array_equal(row, descriptors(text))


def test_what_overflows_is_missing() -> None:
    assert not np.isinf(descriptors("C" * 160)).any()


def test_a_text_that_is_no_molecule_is_refused() -> None:
    with pytest.raises(Rejected):
        descriptor_table(["CCO", "C1CC"], workers=1)
