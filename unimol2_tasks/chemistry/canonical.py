"""Canonical SMILES and canonical atom order of a molecule."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from unimol2_tasks.chemistry.rdkit_messages import first_message, rejecting
from unimol2_tasks.chemistry.rejection import Rejected


@dataclass(frozen=True, slots=True)
class CanonicalMolecule:
    """A molecule of which everything but `atom_map` depends on the molecule alone, not on how it was written.

    n heavy atoms.
    """

    mol: Chem.Mol
    """Parsed from `smiles`, so its atoms are in canonical order."""
    smiles: str
    """Isomeric canonical SMILES."""
    atom_map: NDArray[np.uint16]
    """[n] For each heavy atom its place in the text that was parsed, counting every written atom from 0."""


def canonicalise(mol: Chem.Mol, places: NDArray[np.int64]) -> CanonicalMolecule:
    """Give a molecule its canonical SMILES and atom order.

    Args:
        mol: Without hydrogens but those that RDKit keeps, as deuterium.
        places: Of each of its atoms in the text that was parsed.

    Raises:
        Rejected: RDKit does not read its own canonical SMILES.
    """
    with rdBase.CaptureErrorLog() as log, rejecting("standardise"):
        smiles = Chem.MolToSmiles(mol)
        canonical = Chem.MolFromSmiles(smiles)
        if canonical is None:
            raise Rejected("standardise", f"its canonical form is refused: {first_message(log.messages)}")
    order = _output_order(mol)
    if mol.GetNumHeavyAtoms() < mol.GetNumAtoms():
        order = [index for index in order if mol.GetAtomWithIdx(index).GetAtomicNum() > 1]
    return CanonicalMolecule(canonical, smiles, places[order].astype(np.uint16))


def standard_inchikey(mol: Chem.Mol) -> str:
    """Standard InChIKey.

    Raises:
        Rejected: InChI does not take the molecule.
    """
    with rdBase.CaptureErrorLog() as log, rejecting("standardise"):
        inchikey: str = Chem.MolToInchiKey(mol)  # type: ignore[no-untyped-call]
        if not inchikey:
            raise Rejected("standardise", f"no InChIKey: {first_message(log.messages)}")
    return inchikey


def _output_order(mol: Chem.Mol) -> list[int]:
    """The atoms in the order in which `MolToSmiles` has just written them."""
    # RDKit leaves it on the molecule as text: "[2,0,1,]".
    text = mol.GetProp("_smilesAtomOutputOrder")
    return [int(index) for index in text[1:-1].split(",") if index]
