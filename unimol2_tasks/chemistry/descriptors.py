"""RDKit's two-dimensional descriptors: the input of the gradient-boosting baseline."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import Descriptors

from unimol2_tasks.chemistry.parsing import parse_smiles
from unimol2_tasks.chemistry.pool import map_molecules

NAMES: tuple[str, ...] = tuple(name for name, _ in Descriptors.descList)
"""217 in this version of RDKit: counts, surface areas, charges, topological indices, fragments."""

_TIMEOUT = 60.0
"""Seconds for one molecule, which takes about 10 ms."""


def descriptors(smiles: str) -> NDArray[np.float32]:
    """All descriptors of one molecule, [217]; NaN where one has no value or overflows.

    Raises:
        Rejected: `smiles` cannot be parsed.
    """
    calculate: Any = Descriptors.CalcMolDescriptors
    found = calculate(parse_smiles(smiles), missingVal=np.nan, silent=True)
    values = np.array([found[name] for name in NAMES], np.float64)
    # Ipc grows exponentially with the size of the molecule.
    values[np.abs(values) > np.finfo(np.float32).max] = np.nan
    return values.astype(np.float32)


def descriptor_table(smiles: Sequence[str], workers: int | None = None) -> NDArray[np.float32]:
    """The descriptors of many molecules, [n, 217]; see `descriptors`.

    Args:
        smiles: [n].
        workers: Processes; none: one per core that this process may use.

    Raises:
        Rejected: One of them cannot be parsed or takes a minute.
    """
    table = np.empty((len(smiles), len(NAMES)), np.float32)
    outcomes = map_molecules(descriptors, smiles, workers=workers, timeout=_TIMEOUT, stage="features")
    with closing(outcomes):
        for row, outcome in enumerate(outcomes):
            table[row] = outcome.value
    return table
