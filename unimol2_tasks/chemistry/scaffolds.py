"""Murcko scaffolds: ring systems with their linkers."""

from rdkit import Chem


def murcko_scaffold(mol: Chem.Mol) -> str:
    """Canonical SMILES, without stereo, of the Murcko scaffold; empty for an acyclic molecule.

    Source: Bemis and Murcko, J. Med. Chem. 39, 2887 (1996), as RDKit implements it.
    """
    return Chem.MolToSmiles(Chem.MurckoDecompose(mol), isomericSmiles=False)
