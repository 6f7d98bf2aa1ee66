"""Graph features as embedding indices, bit for bit those of the released code.

Every value is an index into an embedding table of the network in which 0 means padding. The lists, their
order and the offsets are those of the released Uni-Mol2 code; a value outside its list takes the list's
last entry, as there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import BondStereo, BondType, ChiralType, HybridizationType

from unimol2_model.molecule import Molecule
from unimol2_tasks.chemistry.rejection import Rejected

UNREACHABLE = 510

_CHIRALITY = (
    ChiralType.CHI_UNSPECIFIED,
    ChiralType.CHI_TETRAHEDRAL_CW,
    ChiralType.CHI_TETRAHEDRAL_CCW,
    ChiralType.CHI_TRIGONALBIPYRAMIDAL,
    ChiralType.CHI_OCTAHEDRAL,
    ChiralType.CHI_SQUAREPLANAR,
    ChiralType.CHI_OTHER,
)
_DEGREE = (*range(11), "misc")
_CHARGE = (*range(-5, 6), "misc")
_HYDROGENS = (*range(9), "misc")
_RADICALS = (*range(5), "misc")
_HYBRIDISATION = (
    HybridizationType.SP,
    HybridizationType.SP2,
    HybridizationType.SP3,
    HybridizationType.SP3D,
    HybridizationType.SP3D2,
    "misc",
)
_NO_YES = (False, True)
_ATOM_LISTS = (_CHIRALITY, _DEGREE, _CHARGE, _HYDROGENS, _RADICALS, _HYBRIDISATION, _NO_YES, _NO_YES)
_BOND_TYPE = (BondType.SINGLE, BondType.DOUBLE, BondType.TRIPLE, BondType.AROMATIC, "misc")
_BOND_STEREO = (
    BondStereo.STEREONONE,
    BondStereo.STEREOZ,
    BondStereo.STEREOE,
    BondStereo.STEREOCIS,
    BondStereo.STEREOTRANS,
    BondStereo.STEREOANY,
)
_BOND_LISTS = (_BOND_TYPE, _BOND_STEREO, _NO_YES)
# Each column owns 16 rows of the shared table. The shifts are 1 for "no bond" (bonds only), 1 for the
# column's offset and 2 that the released code adds before embedding.
_ATOM_SHIFT = np.array([16 * column + 3 for column in range(len(_ATOM_LISTS))])
_BOND_SHIFT = np.array([16 * column + 4 for column in range(len(_BOND_LISTS))])
_NO_BOND = 2
_DEGREE_SHIFT = 2
_PAIR_SHIFT = (1, 129)


@dataclass(frozen=True, slots=True, eq=False)
class GraphFeatures:
    """What the network sees of the molecular graph, with bonds as a list instead of a matrix.

    n heavy atoms, m bonds.
    """

    tokens: NDArray[np.uint8]
    """[n] atomic numbers."""
    atom_features: NDArray[np.uint8]
    """[n, 8] indices into the atom-feature embedding."""
    degrees: NDArray[np.uint8]
    """[n] bonds to heavy atoms, + 2."""
    bonds: NDArray[np.uint16]
    """[m, 2] the two atoms of each bond, counted from 0."""
    bond_features: NDArray[np.uint8]
    """[m, 3] indices into the bond-feature embedding."""
    path_lengths: NDArray[np.uint16]
    """[n, n] shortest path in bonds + 1; 510 where there is none."""

    def molecule(self, positions: NDArray[np.floating[Any]]) -> Molecule:
        """The network's input for one set of coordinates, [n, 3] in Å."""
        n = len(self.tokens)
        bond_features = np.full((n, n, len(_BOND_LISTS)), _NO_BOND, np.int16)
        begin, end = self.bonds.T
        bond_features[begin, end] = bond_features[end, begin] = self.bond_features
        pair_types = np.empty((n, n, 2), np.int16)
        # Chirality, not the element: the released code drops the element's column first, and its
        # weights were trained so.
        first_feature = self.atom_features[:, 0].astype(np.int16)
        pair_types[:, :, 0] = first_feature[:, None] + _PAIR_SHIFT[0]
        pair_types[:, :, 1] = first_feature[None, :] + _PAIR_SHIFT[1]
        return Molecule(
            tokens=self.tokens.astype(np.int16),
            atom_features=self.atom_features.astype(np.int16),
            degrees=self.degrees.astype(np.int16),
            bond_features=bond_features,
            path_lengths=self.path_lengths.astype(np.int16),
            pair_types=pair_types,
            positions=np.asarray(positions, np.float32),
        )


def graph_features(mol: Chem.Mol) -> GraphFeatures:
    """Features of the heavy-atom graph; hydrogens only count towards their neighbours' features.

    A dummy atom gets token 0, as in the released code, where it means padding; `parse_smiles` keeps such
    molecules out of datasets.

    Raises:
        Rejected: No heavy atom.
    """
    mol = _heavy(mol)
    atoms = list(mol.GetAtoms())
    tokens = [atom.GetAtomicNum() for atom in atoms]
    if not tokens:
        raise Rejected("features", "no heavy atoms")
    bonds = list(mol.GetBonds())
    return GraphFeatures(
        tokens=np.array(tokens, np.uint8),
        atom_features=(_indices([_atom_values(atom) for atom in atoms], _ATOM_LISTS) + _ATOM_SHIFT).astype(
            np.uint8
        ),
        degrees=np.array([atom.GetDegree() + _DEGREE_SHIFT for atom in atoms], np.uint8),
        bonds=np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds], np.uint16).reshape(
            -1, 2
        ),
        bond_features=(_indices([_bond_values(bond) for bond in bonds], _BOND_LISTS) + _BOND_SHIFT).astype(
            np.uint8
        ),
        path_lengths=np.minimum(Chem.GetDistanceMatrix(mol) + 1, UNREACHABLE).astype(np.uint16),
    )


def featurize(mol: Chem.Mol, conformer_id: int = -1) -> Molecule:
    """The network's input for one conformer of an RDKit molecule.

    Args:
        mol: With or without hydrogens; atom order is kept.
        conformer_id: As in RDKit; -1 is the first.

    Raises:
        Rejected: No heavy atom, or no such conformer.
    """
    mol = _heavy(mol)
    try:
        conformer = mol.GetConformer(conformer_id)
    except ValueError:
        held = [conformer.GetId() for conformer in mol.GetConformers()]
        raise Rejected("features", f"no conformer {conformer_id}; the molecule holds {held}") from None
    return graph_features(mol).molecule(conformer.GetPositions())


def _heavy(mol: Chem.Mol) -> Chem.Mol:
    if mol.GetNumHeavyAtoms() == mol.GetNumAtoms():
        return mol
    return Chem.RemoveAllHs(mol)


def _atom_values(atom: Any) -> tuple[Any, ...]:
    return (
        atom.GetChiralTag(),
        atom.GetTotalDegree(),
        atom.GetFormalCharge(),
        atom.GetTotalNumHs(),
        atom.GetNumRadicalElectrons(),
        atom.GetHybridization(),
        atom.GetIsAromatic(),
        atom.IsInRing(),
    )


def _bond_values(bond: Any) -> tuple[Any, ...]:
    return bond.GetBondType(), bond.GetStereo(), bond.GetIsConjugated()


def _indices(rows: Sequence[tuple[Any, ...]], lists: Sequence[tuple[Any, ...]]) -> NDArray[np.int64]:
    """Places of the values in their lists, [rows, columns]; unknown values take the last place."""
    places = [{value: place for place, value in enumerate(known)} for known in lists]
    found = [
        [place.get(value, len(place) - 1) for value, place in zip(row, places, strict=True)] for row in rows
    ]
    return np.array(found, np.int64).reshape(-1, len(lists))
