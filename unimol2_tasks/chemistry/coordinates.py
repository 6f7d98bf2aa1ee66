"""Coordinates that were given with a molecule."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.structure import AtomPositions, Structure


def given_positions(structure: Structure, mol: Chem.Mol) -> NDArray[np.float32]:
    """Coordinates in Å of the heavy atoms of a parsed structure, [K, n, 3].

    A drawing is no conformer: of several sets of coordinates those with z = 0 throughout are left out.

    Args:
        structure: What was given.
        mol: Parsed from it, without hydrogens, not yet standardised.

    Raises:
        Rejected: It has none, they do not fit the atoms, or none of them is a structure in space.
    """
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    if structure.mol_block is not None:
        positions = _of_mol_block(mol)[:, heavy]
    elif structure.coordinates is not None:
        positions = _of_atoms(structure.coordinates, mol, heavy)
    else:
        raise Rejected("conformers", "no coordinates were given")
    if not np.isfinite(positions).all():
        raise Rejected("conformers", "given coordinates are not finite")
    # One atom is a structure wherever it is.
    if len(heavy) > 1:
        positions = _spatial(positions, flat_is_drawn=structure.mol_block is None)
    return positions


def _of_mol_block(mol: Chem.Mol) -> NDArray[np.float32]:
    conformer = mol.GetConformer()
    if mol.GetNumHeavyAtoms() > 1 and not conformer.Is3D():
        raise Rejected("conformers", "given coordinates are a drawing in two dimensions")
    return np.asarray(conformer.GetPositions(), np.float32)[None]


def _of_atoms(coordinates: AtomPositions, mol: Chem.Mol, heavy: list[int]) -> NDArray[np.float32]:
    symbols, positions = coordinates.symbols, coordinates.positions
    if positions.shape[1:] != (len(symbols), 3) or not len(positions):
        raise Rejected(
            "conformers", f"given coordinates have the shape {list(positions.shape)} for {len(symbols)} atoms"
        )
    written = [atom.GetSymbol() for atom in mol.GetAtoms()]
    hydrogens = sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    if len(symbols) == len(written) + hydrogens:
        _compare((*written, *("H",) * hydrogens), symbols)
        return np.asarray(positions[:, heavy], np.float32)
    if len(symbols) == len(heavy):
        _compare([written[index] for index in heavy], symbols)
        return np.asarray(positions, np.float32)
    wanted = f"{len(heavy)} heavy atoms and {len(written) + hydrogens - len(heavy)} hydrogens"
    raise Rejected("conformers", f"given coordinates are of {len(symbols)} atoms; the SMILES has {wanted}")


def _compare(expected: Sequence[str], symbols: Sequence[str]) -> None:
    for place, (wanted, found) in enumerate(zip(expected, symbols, strict=True)):
        if wanted != found:
            raise Rejected(
                "conformers", f"atom {place} is {wanted} in the SMILES, {found} in the given coordinates"
            )


def _spatial(positions: NDArray[np.float32], flat_is_drawn: bool) -> NDArray[np.float32]:
    """Those conformers that lie in space; a mol block says itself whether it is a drawing."""
    kept: NDArray[np.float32] = positions[(positions != positions[:, :1]).any(axis=(1, 2))]
    if not len(kept):
        raise Rejected("conformers", "given coordinates put all atoms in one place")
    if flat_is_drawn:
        kept = kept[(kept[:, :, 2] != 0).any(axis=1)]
    if not len(kept):
        raise Rejected("conformers", "given coordinates are a drawing in two dimensions (all z are 0)")
    return kept
