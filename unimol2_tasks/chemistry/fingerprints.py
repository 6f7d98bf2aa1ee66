"""Morgan fingerprints, the input of the classical baselines."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdFingerprintGenerator

from unimol2_tasks.chemistry.standardise import parse_smiles

RADIUS = 2
BITS = 2048


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
