"""Murcko scaffolds: ring systems with their linkers, and how often to sample each."""

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

TEMPERATURE = 0.005
"""Of the sampling over scaffolds. Source: Uni-Mol2, section on data."""


def murcko_scaffold(mol: Chem.Mol) -> str:
    """Canonical SMILES, without stereo, of the Murcko scaffold; empty for an acyclic molecule.

    Source: Bemis and Murcko, J. Med. Chem. 39, 2887 (1996), as RDKit implements it.
    """
    return Chem.MolToSmiles(Chem.MurckoDecompose(mol), isomericSmiles=False)


def sampling_probabilities(
    counts: NDArray[np.integer], temperature: float = TEMPERATURE
) -> NDArray[np.float64]:
    """The probability of each scaffold, softmax(n_i / Σn / τ). Source: Uni-Mol2, section on data.

    Args:
        counts: [scaffolds] Molecules of each, n_i.
        temperature: τ, above 0. Towards 0 only the most frequent scaffold is left; infinity makes all equal.

    Returns:
        [scaffolds] Their sum is 1.

    Raises:
        ValueError: `temperature` is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    logits = counts / counts.sum() / temperature
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum(), np.float64)


def molecule_probabilities(
    scaffold_codes: NDArray[np.integer], temperature: float = TEMPERATURE
) -> NDArray[np.float64]:
    """The probability of each molecule: its scaffold's, shared evenly among the scaffold's molecules.

    Args:
        scaffold_codes: [molecules] Scaffold of each, a number from 0; some numbers may be unused.
        temperature: See `sampling_probabilities`.

    Returns:
        [molecules] Their sum is 1.
    """
    counts = np.bincount(scaffold_codes)
    used = counts > 0
    shares = np.zeros(len(counts))
    shares[used] = sampling_probabilities(counts[used], temperature) / counts[used]
    return np.asarray(shares[scaffold_codes], np.float64)
