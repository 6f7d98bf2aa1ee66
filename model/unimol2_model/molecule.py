"""One molecule as the network sees it: unpadded arrays over its heavy atoms."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ATOM_FEATURES = 8
BOND_FEATURES = 3
MASK_TOKEN = 127

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.floating[Any]]

# The shape after the leading atom axes, and how many atom axes there are.
_ATOM_AXES: dict[str, tuple[int, tuple[int, ...]]] = {
    "tokens": (1, ()),
    "atom_features": (1, (ATOM_FEATURES,)),
    "degrees": (1, ()),
    "bond_features": (2, (BOND_FEATURES,)),
    "path_lengths": (2, ()),
    "pair_types": (2, (2,)),
    "positions": (1, (3,)),
    "target_tokens": (1, ()),
    "target_positions": (1, (3,)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Molecule:
    """A conformer with its graph features, n heavy atoms, no padding.

    Every index is an embedding index of the released code, where 0 means padding; integer arrays may have any
    integer type.

    Raises:
        ValueError: an array has another shape or kind than its field asks for, a coordinate is not finite, or
            there is no atom.
    """

    tokens: IntArray
    """[n] atomic number 1..118, or 127 where the atom is masked."""
    atom_features: IntArray
    """[n, 8] indices into the shared atom-feature embedding of 512 rows."""
    degrees: IntArray
    """[n] heavy-atom bonds + 2."""
    bond_features: IntArray
    """[n, n, 3] indices into the shared bond-feature embedding of 64 rows."""
    path_lengths: IntArray
    """[n, n] shortest path in bonds + 1, unreachable = 510."""
    pair_types: IntArray
    """[n, n, 2] indices of the two ends into the distance multipliers and offsets."""
    positions: FloatArray
    """[n, 3] coordinates in Å."""
    target_tokens: IntArray | None = None
    """[n] the true token where the atom is masked, 0 elsewhere; only for pretraining."""
    target_positions: FloatArray | None = None
    """[n, 3] the clean coordinates in Å; only for pretraining."""

    def __post_init__(self) -> None:
        n = len(self.tokens)
        if n == 0:
            raise ValueError("tokens: a molecule needs at least one heavy atom, got none")
        for field, (axes, rest) in _ATOM_AXES.items():
            array: npt.NDArray[Any] | None = getattr(self, field)
            if array is None:
                continue
            expected = (n,) * axes + rest
            if array.shape != expected:
                raise ValueError(f"{field}: expected shape {expected} for {n} atoms, got {array.shape}")
            kinds, meant = ("f", "floating-point") if field.endswith("positions") else ("iu", "integer")
            if array.dtype.kind not in kinds:
                raise ValueError(f"{field}: expected {meant} values, got {array.dtype}")
            if kinds == "f" and not np.isfinite(array).all():
                atom = int(np.argmin(np.isfinite(array).all(axis=1)))
                raise ValueError(f"{field}: expected finite coordinates in Å, atom {atom} has {array[atom]}")

    @property
    def atoms(self) -> int:
        """The number of heavy atoms n."""
        return len(self.tokens)
