"""One molecule from SMILES text to everything that a dataset stores of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unimol2_model.molecule import Molecule
from unimol2_tasks.chemistry.conformers import (
    ConformerMethod,
    conformer_positions,
    conformer_seed,
    drawing_positions,
    embed_conformers,
)
from unimol2_tasks.chemistry.features import GraphFeatures, graph_features
from unimol2_tasks.chemistry.scaffolds import murcko_scaffold
from unimol2_tasks.chemistry.standardise import (
    CanonicalMolecule,
    Change,
    canonicalise,
    parse_smiles,
    standardise,
)
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
    """[K] in kcal/mol, of the force field that `method` names; NaN where none was used."""
    flat_positions: NDArray[np.float32]
    """[n, 2] of the drawing, bonds of 1.5 Å."""
    atom_map: NDArray[np.uint16]
    """[n] place of each atom in the input SMILES, counting every written atom from 0."""

    @property
    def tokens(self) -> NDArray[np.uint8]:
        """Atomic numbers, [n]."""
        return self.graph.tokens

    @property
    def conformers(self) -> int:
        """The number of conformers K."""
        return len(self.positions)

    def molecule(self, conformer: int = 0, flat: bool = False) -> Molecule:
        """The network's input.

        Args:
            conformer: Which one, 0 to K - 1.
            flat: The drawing, with z = 0, instead of a conformer.
        """
        if not flat:
            return self.graph.molecule(self.positions[conformer])
        return self.graph.molecule(np.pad(self.flat_positions, ((0, 0), (0, 1))))


def identify(smiles: str, params: PrepareParams) -> Identity:
    """Parse and standardise.

    Raises:
        Rejected: `smiles` is no molecule, or one that the parameters exclude.
    """
    molecule = _canonical(smiles, params)
    return Identity(molecule.smiles, molecule.inchikey)


def prepare_molecule(smiles: str, params: PrepareParams) -> PreparedMolecule:
    """Parse, standardise, embed and featurise.

    The result depends on the molecule and the parameters alone: the same molecule written in another way
    differs in `atom_map` only.

    Raises:
        Rejected: `smiles` is no molecule, one that the parameters exclude, or it cannot be embedded.
    """
    molecule = _canonical(smiles, params)
    seed = conformer_seed(params.seed, molecule.inchikey)
    embedded, method = embed_conformers(molecule.mol, params.conformers, seed)
    return PreparedMolecule(
        smiles=molecule.smiles,
        inchikey=molecule.inchikey,
        scaffold=murcko_scaffold(molecule.mol),
        method=method,
        graph=graph_features(embedded),
        positions=conformer_positions(embedded),
        flat_positions=drawing_positions(embedded),
        atom_map=molecule.atom_map,
    )


def _canonical(smiles: str, params: PrepareParams) -> CanonicalMolecule:
    standard = standardise(parse_smiles(smiles), params.standardise)
    return canonicalise(standard, params.max_atoms)
