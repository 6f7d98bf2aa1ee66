import numpy as np
import pytest
from rdkit import Chem

from unimol2_tasks.chemistry.scaffolds import (
    molecule_probabilities,
    murcko_scaffold,
    sampling_probabilities,
)


@pytest.mark.parametrize(
    ("smiles", "scaffold"),
    [("CCO", ""), ("CCc1ccccc1", "c1ccccc1"), ("C[C@H]1CCCN1Cc1ccccc1", "c1ccc(CN2CCCC2)cc1")],
)
def test_murcko_scaffolds(smiles: str, scaffold: str) -> None:
    assert murcko_scaffold(Chem.MolFromSmiles(smiles)) == scaffold


def test_sampling_is_the_softmax_of_frequencies() -> None:
    probabilities = sampling_probabilities(np.array([995, 5, 0]))
    # softmax(0.995/0.005, 0.005/0.005, 0) of which the first is all but e^-198.
    assert probabilities[0] == 1.0
    np.testing.assert_allclose(probabilities[1:], [np.exp(-198), np.exp(-199)], rtol=1e-9)
    np.testing.assert_allclose(
        sampling_probabilities(np.array([3, 1]), 0.5), [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]
    )


@pytest.mark.parametrize("temperature", [1e-6, 0.005, 1.0, np.inf])
def test_probabilities_add_up_and_do_not_overflow(temperature: float) -> None:
    counts = np.array([10**9, 10**6, 5, 1])
    probabilities = sampling_probabilities(counts, temperature)
    assert probabilities.sum() == pytest.approx(1)
    assert (np.diff(probabilities) <= 0).all()
    if temperature == np.inf:
        np.testing.assert_array_equal(probabilities, 0.25)


def test_molecules_share_their_scaffolds_probability() -> None:
    codes = np.array([0, 3, 0, 3, 0, 1])
    probabilities = molecule_probabilities(codes, 0.3)
    assert probabilities.sum() == pytest.approx(1)
    of_scaffold = sampling_probabilities(np.array([3, 1, 2]), 0.3)
    np.testing.assert_allclose(np.bincount(codes, probabilities), [*of_scaffold[:2], 0, of_scaffold[2]])
    assert len(set(probabilities[codes == 0])) == 1


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        sampling_probabilities(np.array([1, 2]), 0)
