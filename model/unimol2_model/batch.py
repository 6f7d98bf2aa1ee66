"""Several molecules padded to one length."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unimol2_model.batching import padded_atoms
from unimol2_model.molecule import ATOM_FEATURES, BOND_FEATURES, Molecule

# How many rows the embedding has that each field points into (released code).
VOCABULARY = {
    "tokens": 128,
    "atom_features": 512,
    "degrees": 128,
    "bond_features": 64,
    "path_lengths": 512,
    "pair_types": 512,
    "target_tokens": 128,
}
_TRAILING_SHAPE = {
    "atom_features": (ATOM_FEATURES,),
    "bond_features": (BOND_FEATURES,),
    "pair_types": (2,),
    "positions": (3,),
    "target_positions": (3,),
}
_PAIR_FIELDS = ("bond_features", "path_lengths", "pair_types")


@dataclass(frozen=True, slots=True, eq=False)
class MoleculeBatch:
    """B molecules padded to n atoms each; padding is 0 everywhere and False in `atom_mask`."""

    atom_mask: Tensor
    """[B, n] bool, True at real atoms, which come first."""
    tokens: Tensor
    """[B, n] int64."""
    atom_features: Tensor
    """[B, n, 8] int64."""
    degrees: Tensor
    """[B, n] int64."""
    bond_features: Tensor
    """[B, n, n, 3] int64."""
    path_lengths: Tensor
    """[B, n, n] int64."""
    pair_types: Tensor
    """[B, n, n, 2] int64."""
    positions: Tensor
    """[B, n, 3] float32, Å."""
    target_tokens: Tensor | None = None
    """[B, n] int64, 0 where not masked."""
    target_positions: Tensor | None = None
    """[B, n, 3] float32, Å."""

    @classmethod
    def collate(cls, molecules: Sequence[Molecule], *, buckets: Sequence[int] | None = None) -> Self:
        """Pad molecules to one length and stack them.

        Args:
            molecules: at least one.
            buckets: pad to the smallest of these numbers of atoms that holds all molecules, so that a
                compiled network sees few shapes; default: the largest molecule.

        Raises:
            ValueError: no molecules, a molecule larger than the largest bucket, an index outside its
                embedding, or targets that only some of the molecules have.
        """
        if not molecules:
            raise ValueError("a batch needs at least one molecule, got none")
        lengths = np.array([molecule.atoms for molecule in molecules])
        width = int(padded_atoms(lengths, buckets).max())
        padded: dict[str, Any] = {
            field.name: _pad(molecules, field.name, width)
            for field in fields(cls)
            if field.name != "atom_mask"
        }
        atom_mask = torch.from_numpy(np.arange(width) < lengths[:, None])
        return cls(atom_mask=atom_mask, **padded)

    @property
    def size(self) -> int:
        """The number of molecules B."""
        return self.tokens.shape[0]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the batch on another device."""
        return self._with(
            {name: tensor.to(device, non_blocking=non_blocking) for name, tensor in self._tensors().items()}
        )

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory; `torch.utils.data.DataLoader` calls this."""
        return self._with({name: tensor.pin_memory() for name, tensor in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    @classmethod
    def _with(cls, tensors: dict[str, Tensor]) -> Self:
        return cls(**tensors)


def _pad(molecules: Sequence[Molecule], field: str, width: int) -> Tensor | None:
    arrays: list[npt.NDArray[Any] | None] = [getattr(molecule, field) for molecule in molecules]
    present = [array for array in arrays if array is not None]
    if not present:
        return None
    if len(present) < len(arrays):
        without = next(k for k, array in enumerate(arrays) if array is None)
        raise ValueError(f"{field}: molecule {without} of the batch has none, but others do")
    atom_axes = 2 if field in _PAIR_FIELDS else 1
    shape = (len(arrays), *(width,) * atom_axes, *_TRAILING_SHAPE.get(field, ()))
    padded = np.zeros(shape, dtype=np.float32 if field.endswith("positions") else np.int64)
    for k, array in enumerate(present):
        n = len(array)
        if atom_axes == 2:
            padded[k, :n, :n] = array
        else:
            padded[k, :n] = array
    if field in VOCABULARY:
        _check_range(field, padded, VOCABULARY[field])
    return torch.from_numpy(padded)


def _check_range(field: str, padded: npt.NDArray[np.int64], rows: int) -> None:
    # Out of range, an index is a memory fault on the CPU and a dead process on a GPU. Read as unsigned, a
    # negative index is a huge one, so that one pass sees both ends.
    if padded.view(np.uint64).max() < rows:
        return
    bad = np.argwhere((padded < 0) | (padded >= rows))[0]
    raise ValueError(
        f"{field}: molecule {bad[0]} of the batch holds {padded[tuple(bad)]} at {tuple(map(int, bad[1:]))}; "
        f"its embedding has rows 0..{rows - 1}"
    )
