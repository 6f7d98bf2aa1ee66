"""What one row of a table says about a molecule: its graph as text, and coordinates where it has them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class AtomPositions:
    """Coordinates beside SMILES, as Uni-Mol's LMDB files hold them.

    N atoms in the order of `Chem.AddHs(Chem.MolFromSmiles(smiles))`, or its heavy atoms alone; K conformers.
    """

    symbols: tuple[str, ...]
    """[N] element symbols."""
    positions: NDArray[np.float32]
    """[K, N, 3] in Å."""


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """A molecule as it was given."""

    smiles: str = ""
    """Empty where a mol block says everything."""
    mol_block: str | None = None
    """One record of an SDF file, without its properties."""
    coordinates: AtomPositions | None = None
    """What a file says about the atoms of `smiles`."""
