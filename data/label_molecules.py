"""Quantum-chemical labels of small molecules: GFN2-xTB on one MMFF94s conformer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

_EMBEDDING_SEED = 20241
_MMFF_ITERATIONS = 5000
_HARTREE_IN_EV = 27.211386245988  # CODATA 2018
_BOHR_IN_ANGSTROM = 0.529177210903  # CODATA 2018
_ATOMIC_UNIT_IN_DEBYE = 2.541746473
_DECIMALS = 4


class LabellingError(ValueError):
    """A molecule has no conformer, or its self-consistent field does not converge."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Frontier orbitals and dipole moment of one conformer."""

    homo_eV: float  # noqa: N815 - the unit is written as it is in the table's header
    lumo_eV: float  # noqa: N815
    gap_eV: float  # noqa: N815
    dipole_debye: float


def label(smiles: str) -> Labels:
    """Compute the labels of a neutral closed-shell molecule.

    Args:
        smiles: the molecule, without charges or unpaired electrons.

    Returns:
        Energies in eV and the dipole moment in debye, rounded to 4 decimals.

    Raises:
        LabellingError: where no conformer is found or the calculation does not converge.
    """
    numbers, positions = _conformer(smiles)
    orbitals, occupations, dipole = _gfn2_xtb(numbers, positions / _BOHR_IN_ANGSTROM)
    homo = int(np.flatnonzero(occupations > 1.0)[-1])
    homo_energy, lumo_energy = orbitals[homo : homo + 2] * _HARTREE_IN_EV
    return Labels(
        homo_eV=round(float(homo_energy), _DECIMALS),
        lumo_eV=round(float(lumo_energy), _DECIMALS),
        gap_eV=round(float(lumo_energy - homo_energy), _DECIMALS),
        dipole_debye=round(float(np.linalg.norm(dipole)) * _ATOMIC_UNIT_IN_DEBYE, _DECIMALS),
    )


def _conformer(smiles: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Embed with ETKDGv3, relax with MMFF94s; return atomic numbers [n] and positions [n, 3] in Å."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = _EMBEDDING_SEED  # type: ignore[assignment]  # rdkit's stub has the wrong type
    if rdDistGeom.EmbedMolecule(mol, parameters) != 0:
        raise LabellingError(f"{smiles}: ETKDGv3 finds no conformer")
    if rdForceFieldHelpers.MMFFOptimizeMolecule(mol, mmffVariant="MMFF94s", maxIters=_MMFF_ITERATIONS) != 0:
        raise LabellingError(f"{smiles}: MMFF94s has no parameters or does not converge")
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return numbers, np.asarray(mol.GetConformer().GetPositions())


def _gfn2_xtb(
    numbers: NDArray[np.int64], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Run a single point on positions in bohr; orbital energies [k], occupations [k], dipole [3] in a.u."""
    # Imported here because only this step needs it: the tables are read on machines without tblite.
    from tblite.interface import Calculator

    calculator = Calculator("GFN2-xTB", numbers, positions)
    calculator.set("verbosity", 0)
    try:
        result = calculator.singlepoint()
    except RuntimeError as error:
        raise LabellingError(f"GFN2-xTB: {error}") from error
    return result["orbital-energies"], result["orbital-occupations"], result["dipole"]
