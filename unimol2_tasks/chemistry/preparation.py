"""One molecule from what was given to everything that a dataset stores of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from unimol2_model.molecule import Molecule
from unimol2_tasks.chemistry.canonical import canonicalise, standard_inchikey
from unimol2_tasks.chemistry.conformers import (
    ConformerMethod,
    conformer_seed,
    drawing_positions,
    embed_conformers,
    given_conformers,
)
from unimol2_tasks.chemistry.coordinates import given_positions
from unimol2_tasks.chemistry.features import GraphFeatures, graph_features
from unimol2_tasks.chemistry.parsing import Parsed, parse
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.scaffolds import murcko_scaffold
from unimol2_tasks.chemistry.standardise import Change, standardise
from unimol2_tasks.chemistry.structure import Structure
from unimol2_tasks.params import PrepareParams


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Which molecule a structure means; everything that is known of it before conformers are made.

    n heavy atoms, in the order of the canonical SMILES; K given conformers.
    """

    smiles: str
    """Canonical, isomeric."""
    inchikey: str
    """Standard InChIKey; what makes two rows duplicates of each other."""
    scaffold: str
    """Murcko scaffold; empty for an acyclic molecule."""
    atom_map: NDArray[np.uint16]
    """[n] place of each atom in the input, counting every written atom from 0."""
    changes: tuple[Change, ...] = ()
    """What standardisation did to it."""
    positions: NDArray[np.float32] | None = None
    """[K, n, 3] in Å, as given; None where none were given or none are wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedMolecule:
    """A standardised molecule with its graph features and conformers.

    n heavy atoms, in the order of the canonical SMILES; K conformers.
    """

    smiles: str
    """Canonical, isomeric."""
    inchikey: str
    scaffold: str
    """Murcko scaffold; empty for an acyclic molecule."""
    method: ConformerMethod
    """How the conformers were made."""
    graph: GraphFeatures
    positions: NDArray[np.float32]
    """[K, n, 3] in Å."""
    energies: NDArray[np.float32]
    """[K] in kcal/mol, of the force field that `method` names, lowest first; NaN where none was used."""
    flat_positions: NDArray[np.float32]
    """[n, 2] of the drawing, bonds of 1.5 Å."""
    atom_map: NDArray[np.uint16]
    """[n] place of each atom in the input, counting every written atom from 0."""

    @property
    def tokens(self) -> NDArray[np.uint8]:
        """Atomic numbers, [n]."""
        return self.graph.tokens

    @property
    def conformers(self) -> int:
        """The number of conformers K."""
        return len(self.positions)

    def coordinates(self, conformer: int = 0, flat: bool = False) -> NDArray[np.float32]:
        """[n, 3] in Å.

        Args:
            conformer: Which one, 0 to K - 1.
            flat: The drawing, with z = 0, instead of a conformer.
        """
        if not flat:
            positions: NDArray[np.float32] = self.positions[conformer]
            return positions
        drawing = np.zeros((len(self.tokens), 3), np.float32)
        drawing[:, :2] = self.flat_positions
        return drawing

    def molecule(self, conformer: int = 0, flat: bool = False) -> Molecule:
        """The network's input; the arguments are those of `coordinates`."""
        return self.graph.molecule(self.coordinates(conformer, flat))


def identify(structure: Structure | str, params: PrepareParams) -> Identity:
    """Parse and standardise a structure, or SMILES.

    The result depends on the molecule and the parameters alone: the same molecule written in another way
    differs in `atom_map` only.

    Raises:
        Rejected: It is no molecule, or one that the parameters exclude.
    """
    if isinstance(structure, str):
        structure = Structure(structure)
    parsed = parse(structure)
    molecule, changes = standardise(canonicalise(parsed.mol, parsed.places), params)
    _check_size(molecule.mol.GetNumHeavyAtoms(), params.max_atoms)
    return Identity(
        smiles=molecule.smiles,
        inchikey=standard_inchikey(molecule.mol),
        scaffold=murcko_scaffold(molecule.mol),
        atom_map=molecule.atom_map,
        changes=changes,
        positions=_kept_positions(structure, parsed, molecule.atom_map, params),
    )


def build_molecule(identity: Identity, params: PrepareParams) -> PreparedMolecule:
    """Embed and featurise an identified molecule; given conformers are kept instead of new ones.

    Raises:
        Rejected: It cannot be embedded, or has no drawing.
    """
    mol = Chem.MolFromSmiles(identity.smiles)
    if identity.positions is None:
        made = embed_conformers(
            mol, params.conformers, conformer_seed(params.seed, identity.inchikey), params.prune_rmsd
        )
    else:
        made = given_conformers(mol, identity.positions)
    return PreparedMolecule(
        smiles=identity.smiles,
        inchikey=identity.inchikey,
        scaffold=identity.scaffold,
        method=made.method,
        graph=graph_features(made.mol),
        positions=made.positions,
        energies=made.energies,
        flat_positions=drawing_positions(made.mol),
        atom_map=identity.atom_map,
    )


def prepare_molecule(structure: Structure | str, params: PrepareParams) -> PreparedMolecule:
    """`identify` and `build_molecule`.

    Raises:
        Rejected: It is no molecule, one that the parameters exclude, or it cannot be embedded.
    """
    return build_molecule(identify(structure, params), params)


def _check_size(atoms: int, max_atoms: int) -> None:
    if atoms == 0:
        raise Rejected("standardise", "no heavy atoms")
    if atoms > max_atoms:
        raise Rejected("standardise", f"{atoms} heavy atoms, max_atoms is {max_atoms}")


def _kept_positions(
    structure: Structure, parsed: Parsed, atom_map: NDArray[np.uint16], params: PrepareParams
) -> NDArray[np.float32] | None:
    """[K, n, 3] in Å, canonical order: the first given conformers, as many as would be made."""
    if params.coordinates == "generate":
        return None
    try:
        given = given_positions(structure, parsed.mol)
    except Rejected:
        if params.coordinates == "keep":
            raise
        return None
    heavy = [atom.GetAtomicNum() > 1 for atom in parsed.mol.GetAtoms()]
    kept = np.searchsorted(parsed.places[heavy], atom_map)
    return np.ascontiguousarray(given[: params.conformers, kept])
