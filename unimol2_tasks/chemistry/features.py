"""Graph features as embedding indices, bit for bit those of the released code.

Every value is an index into an embedding table of the network in which 0 means padding. The lists, their
order and the offsets are those of the released Uni-Mol2 code; a value outside its list takes the list's
last entry: "misc" where there is one, as there. Chirality and bond stereo have none, and the released code
fails at an unknown one; here chirality (allenes) takes CHI_OTHER, bond stereo (atropisomers) STEREOANY.
"""

from collections.abc import Callable
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
_BOND_TYPE = (BondType.SINGLE, BondType.DOUBLE, BondType.TRIPLE, BondType.AROMATIC, "misc")
_BOND_STEREO = (
    BondStereo.STEREONONE,
    BondStereo.STEREOZ,
    BondStereo.STEREOE,
    BondStereo.STEREOCIS,
    BondStereo.STEREOTRANS,
    BondStereo.STEREOANY,
)
_ATOM_COLUMNS: tuple[tuple[Callable[[Any], Any], tuple[Any, ...]], ...] = (
    (Chem.Atom.GetChiralTag, _CHIRALITY),
    (Chem.Atom.GetTotalDegree, _DEGREE),
    (Chem.Atom.GetFormalCharge, _CHARGE),
    (Chem.Atom.GetTotalNumHs, _HYDROGENS),
    (Chem.Atom.GetNumRadicalElectrons, _RADICALS),
    (Chem.Atom.GetHybridization, _HYBRIDISATION),
    (Chem.Atom.GetIsAromatic, _NO_YES),
    (Chem.Atom.IsInRing, _NO_YES),
)
_BOND_COLUMNS: tuple[tuple[Callable[[Any], Any], tuple[Any, ...]], ...] = (
    (Chem.Bond.GetBondType, _BOND_TYPE),
    (Chem.Bond.GetStereo, _BOND_STEREO),
    (Chem.Bond.GetIsConjugated, _NO_YES),
)
# Each column owns 16 rows of the shared table. The shifts are 1 for "no bond" (bonds only), 1 for the
# column's offset and 2 that the released code adds before embedding.
_COLUMN_ROWS = 16
_ATOM_SHIFT = 3
_BOND_SHIFT = 4
_NO_BOND = 2
_DEGREE_SHIFT = 2
_PAIR_SHIFT = (1, 129)


class _Embedding:
    """The indices of some columns of values, each with its own rows of an embedding table."""

    def __init__(self, columns: tuple[tuple[Callable[[Any], Any], tuple[Any, ...]], ...], shift: int) -> None:
        self._columns = []
        for column, (read, known) in enumerate(columns):
            first = _COLUMN_ROWS * column + shift
            indices = {value: first + place for place, value in enumerate(known)}
            self._columns.append((read, indices, first + len(known) - 1))

    def indices(self, things: list[Any]) -> NDArray[np.uint8]:
        """[things, columns]; unknown values take the last place of their list."""
        columns = [
            [indices.get(value, last) for value in map(read, things)] for read, indices, last in self._columns
        ]
        return np.ascontiguousarray(np.array(columns, np.uint8).T)


_ATOM_EMBEDDING = _Embedding(_ATOM_COLUMNS, _ATOM_SHIFT)
_BOND_EMBEDDING = _Embedding(_BOND_COLUMNS, _BOND_SHIFT)


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

    def arrays(self) -> dict[str, Any]:
        """The graph's fields of a `Molecule`; those that are stored as they are needed are not copied."""
        n = len(self.tokens)
        bond_features = np.full((n, n, len(_BOND_COLUMNS)), _NO_BOND, np.uint8)
        begin, end = self.bonds.T.astype(np.intp)
        bond_features[begin, end] = bond_features[end, begin] = self.bond_features
        return {
            "tokens": self.tokens,
            "atom_features": self.atom_features,
            "degrees": self.degrees,
            "bond_features": bond_features,
            "path_lengths": self.path_lengths,
            "pair_types": self.pair_types(),
        }

    def pair_types(self) -> NDArray[np.int16]:
        """[n, n, 2] indices of the two ends into the distance multipliers and offsets."""
        n = len(self.tokens)
        pair_types = np.empty((n, n, 2), np.int16)
        # Chirality, not the element: the released code drops the element's column first, and its
        # weights were trained so.
        first_feature = self.atom_features[:, 0].astype(np.int16)
        pair_types[:, :, 0] = first_feature[:, None] + _PAIR_SHIFT[0]
        pair_types[:, :, 1] = first_feature[None, :] + _PAIR_SHIFT[1]
        return pair_types

    def molecule(self, positions: NDArray[np.floating[Any]]) -> Molecule:
        """The network's input for one set of coordinates, [n, 3] in Å."""
        return Molecule(**self.arrays(), positions=np.asarray(positions, np.float32))


def graph_features(mol: Chem.Mol) -> GraphFeatures:
    """Features of the heavy-atom graph; hydrogens only count towards their neighbours' features.

    A dummy atom gets token 0, as in the released code, where it means padding; `parsing` keeps such
    molecules out of datasets.

    Raises:
        Rejected: No heavy atom.
    """
    mol = _heavy(mol)
    # Iterating over GetAtoms() and GetBonds() takes twice as long.
    atoms = list(map(mol.GetAtomWithIdx, range(mol.GetNumAtoms())))
    if not atoms:
        raise Rejected("features", "no heavy atoms")
    bonds = list(map(mol.GetBondWithIdx, range(mol.GetNumBonds())))
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]
    return GraphFeatures(
        tokens=np.array([atom.GetAtomicNum() for atom in atoms], np.uint8),
        atom_features=_ATOM_EMBEDDING.indices(atoms),
        degrees=np.array([atom.GetDegree() + _DEGREE_SHIFT for atom in atoms], np.uint8),
        bonds=np.array(ends, np.uint16).reshape(-1, 2),
        bond_features=_BOND_EMBEDDING.indices(bonds),
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
