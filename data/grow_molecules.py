"""Small organic molecules, grown from ring systems and chains by adding substituents."""

import random
from collections import defaultdict
from collections.abc import Iterator

from rdkit import Chem, rdBase
from rdkit.Chem.rdMolDescriptors import CalcNumRings
from ring_systems import bonded, open_sites, ring_systems

LABELLED_ATOMS = 10
"""Heavy atoms of the largest molecule that gets quantum-chemical labels."""
_MAX_ATOMS = 12
_MAX_RING_ATOMS = 9
_LARGE_PER_RING = 3
_SUBSTITUENT_COUNTS = (0, 1, 1, 2, 2, 2, 3)
_DRAWS_PER_MOLECULE = 9

_HYDROCARBON_CHAINS = ("CC", "CCC", "CCCC", "C=C", "C=CC", "C=CC=C", "C#CC")
_HETERO_CHAINS = ("COC", "CCO", "OCCO", "CCN", "CNC", "CSC", "CCCl", "CCF")
_ACCEPTOR_CHAINS = ("CC=O", "CC(C)=O", "CC(N)=O", "CC(=O)O", "CC#N", "COC=O", "CNC=O", "C=CC=O")
_CHAIN_SHARE = 9
_BENZENE_SHARE = 180
_RING_SHARES = range(3, 15)

_GAP_KEEPING = ("C", "CC", "C(C)C", "O", "OC", "CO", "COC", "N", "NC", "N(C)C", "CN", "F", "CF", "C(F)(F)F")
_GAP_CLOSING = ("C#N", "C#C", "C=C", "C=O", "C(C)=O", "C(N)=O", "C(=O)O", "C(=O)OC", "NC(C)=O", "Cl", "SC")
# Twice as often those that leave the gap wide: one carbonyl closes it, and most molecules would have one.
_FRAGMENTS = tuple(Chem.MolFromSmiles(smiles) for smiles in (*_GAP_KEEPING, *_GAP_KEEPING, *_GAP_CLOSING))

_RINGS_PER_KIND = {
    ("single", "saturated"): 24,
    ("single", "aromatic"): 28,
    ("single", "unsaturated"): 50,
    ("single", "thia"): 15,
    ("several", "saturated"): 100,
    ("several", "aromatic"): 90,
    ("several", "unsaturated"): 45,
    ("several", "thia"): 15,
}


def grow_molecules() -> list[str]:
    """Grow the demonstration molecules: the same list at every call.

    Returns:
        Canonical SMILES of neutral molecules of C, N, O, F, S and Cl with at most 12 heavy atoms, distinct by
        InChIKey, in the order of the skeletons they were grown from.
    """
    grown: dict[str, str] = {}
    # RDKit logs every valence that does not close; trying is how the growth finds its limits.
    with rdBase.BlockLogs():
        for skeleton, share in _skeletons():
            for smiles in _decorated(skeleton, share):
                grown.setdefault(inchikey(Chem.MolFromSmiles(smiles)), smiles)
    return list(grown.values())


def inchikey(mol: Chem.Mol) -> str:
    """Identify a molecule whatever its tautomer and atom order."""
    return str(Chem.MolToInchiKey(mol))  # type: ignore[no-untyped-call]


def _skeletons() -> Iterator[tuple[str, int]]:
    """Pair each chain and each chosen ring system with how many small molecules it is to give."""
    for chain in (*_HYDROCARBON_CHAINS, *_HETERO_CHAINS, *_ACCEPTOR_CHAINS):
        yield chain, _CHAIN_SHARE
    for ring in _chosen_rings():
        # Uneven shares, so that the rare scaffolds, which a scaffold split holds out, are of every kind.
        share = random.Random(f"share of {ring}").choice(_RING_SHARES)
        yield ring, _BENZENE_SHARE if ring == "c1ccccc1" else share


def _chosen_rings() -> list[str]:
    by_kind = defaultdict(list)
    for ring in ring_systems(_MAX_RING_ATOMS):
        by_kind[_kind(Chem.MolFromSmiles(ring))].append(ring)
    return [
        ring
        for kind, count in _RINGS_PER_KIND.items()
        for ring in sorted(random.Random(f"rings of {kind}").sample(by_kind[kind], count))
    ]


def _kind(ring: Chem.Mol) -> tuple[str, str]:
    """Name a ring system by how many rings it has and by what sets its frontier orbitals."""
    count = "single" if CalcNumRings(ring) == 1 else "several"
    if any(atom.GetIsAromatic() for atom in ring.GetAtoms()):
        return count, "aromatic"
    if any(atom.GetSymbol() == "S" for atom in ring.GetAtoms()):
        return count, "thia"
    has_double_bond = any(bond.GetBondType() == Chem.BondType.DOUBLE for bond in ring.GetBonds())
    return count, "unsaturated" if has_double_bond else "saturated"


def _decorated(skeleton: str, share: int) -> list[str]:
    """Grow `share` molecules that are small enough for labels, and a few larger ones, from one skeleton."""
    draws = random.Random(f"growth of {skeleton}")
    room = {"small": share, "large": max(_LARGE_PER_RING, share // 4)}
    grown: dict[str, None] = {}
    for _ in range(_DRAWS_PER_MOLECULE * share):
        mol = _grown(Chem.MolFromSmiles(skeleton), draws)
        size = "small" if mol.GetNumAtoms() <= LABELLED_ATOMS else "large"
        if mol.GetNumAtoms() > _MAX_ATOMS or room[size] == 0:
            continue
        smiles = Chem.MolToSmiles(mol)
        if smiles not in grown:
            grown[smiles] = None
            room[size] -= 1
    return list(grown)


def _grown(mol: Chem.Mol, draws: random.Random) -> Chem.Mol:
    """Add up to three substituents, each to a random atom of what has grown so far."""
    for _ in range(draws.choice(_SUBSTITUENT_COUNTS)):
        if sites := open_sites(mol):
            mol = bonded(mol, draws.choice(sites), draws.choice(_FRAGMENTS)) or mol
    return mol
