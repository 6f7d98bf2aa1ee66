"""From atoms in space to a molecule: XYZ files name no bonds."""

from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from unimol2_tasks.chemistry.rdkit_messages import rejecting
from unimol2_tasks.chemistry.rejection import Rejected

# Two atoms are bonded where they are closer than this times the sum of their covalent radii. RDKit's 1.3
# joins the far corners of small strained rings, which then have too many bonds.
_REACHES = (1.3, 1.25, 1.2, 1.15)


def molecule_from_xyz(text: str, charge: int = 0) -> Chem.Mol:
    """The molecule that has these atoms at these places, with all hydrogens and the geometry as given.

    Bonds and their orders are those of Kim and Kim (doi 10.1002/bkcs.10334), as RDKit's rdDetermineBonds
    finds them, with the longest reach at which all valences are right.

    Args:
        text: An XYZ file; Å.
        charge: Of the whole molecule, in units of e.

    Raises:
        Rejected: It is no XYZ file, or no bonds give every atom a right valence.
    """
    problem = Rejected("parse", "no reach of bonds was tried")
    for reach in _REACHES:
        try:
            return _connected(text, charge, reach)
        except Rejected as rejected:
            problem = rejected
    raise problem


def _connected(text: str, charge: int, reach: float) -> Chem.Mol:
    with rdBase.BlockLogs(), rejecting("parse"):
        mol = Chem.MolFromXYZBlock(text)
        if mol is None or not mol.GetNumAtoms():
            raise Rejected("parse", "not an XYZ file")
        rdDetermineBonds.DetermineBonds(mol, useVdw=True, covFactor=reach, charge=charge)
        Chem.AssignStereochemistryFrom3D(mol)
        return mol
