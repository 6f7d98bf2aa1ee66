"""Morgan fingerprints: the input of the classical baselines and of similarity."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from scipy import sparse

from unimol2_tasks.chemistry.parsing import parse_smiles

RADIUS = 2
BITS = 2048

SparseFingerprints = sparse.csr_array[np.uint16, tuple[int, int]]
"""[n, 2048] of 0 and 1; a drug-like molecule has about 50 ones."""


def morgan_fingerprints(smiles: Sequence[str]) -> NDArray[np.uint8]:
    """Folded Morgan fingerprints (ECFP4) as 0 and 1, [n, 2048].

    Raises:
        Rejected: One of `smiles` cannot be parsed.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    fingerprints = np.zeros((len(smiles), BITS), np.uint8)
    for row, text in enumerate(smiles):
        fingerprints[row] = generator.GetFingerprintAsNumPy(parse_smiles(text))
    return fingerprints


def sparse_morgan_fingerprints(canonical_smiles: Iterable[str]) -> SparseFingerprints:
    """The same fingerprints of canonical SMILES, about 300 bytes per molecule, three times as fast.

    Args:
        canonical_smiles: As RDKit wrote them, molecules of a dataset or their scaffolds. Their aromaticity
            is taken as written: perceiving it again takes most of the time, and fails for the rare scaffold
            that has no Kekulé structure without its substituents.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    places = []
    for text in canonical_smiles:
        mol = Chem.MolFromSmiles(text, sanitize=False)
        mol.UpdatePropertyCache(strict=False)
        Chem.FastFindRings(mol)
        places.append(np.array(generator.GetFingerprint(mol).GetOnBits(), np.int32))
    ends = np.cumsum([0, *map(len, places)])
    indices = np.concatenate([*places, np.empty(0, np.int32)])
    ones = np.ones(len(indices), np.uint16)
    return sparse.csr_array((ones, indices, ends), shape=(len(places), BITS))
