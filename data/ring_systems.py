"""Ring systems of small organic molecules, enumerated by edits of the molecular graph."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

from plausibility import is_plausible
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcNumRings

_CARBOCYCLES = (
    "C1CC1",
    "C1CCC1",
    "C1CCCC1",
    "C1CCCCC1",
    "C1CCCCCC1",
    "C1CC2CC2C1",  # bicyclo[3.1.0]hexane
    "C1CC2CCC2C1",  # bicyclo[3.2.0]heptane
    "C1CC2CCCC2C1",  # octahydropentalene
    "C1CC2CCC1C2",  # norbornane
    "C1CC2CCC1CC2",  # bicyclo[2.2.2]octane
    "C1CCC2(C1)CC2",  # spiro[2.4]heptane
    "C1CC2(C1)CCC2",  # spiro[3.3]heptane
    "C1CCC2(CC1)CC2",  # spiro[2.5]octane
)
_AROMATICS = (
    "c1ccccc1",
    "c1cc[nH]c1",
    "c1ccoc1",
    "c1ccsc1",
    "c1ccc2[nH]ccc2c1",  # indole
    "c1ccc2occc2c1",  # benzofuran
    "c1ccc2sccc2c1",  # benzothiophene
    "c1ccn2cccc2c1",  # indolizine
    "c1cc2sccc2s1",  # thieno[3,2-b]thiophene
    "c1cc2occc2[nH]1",  # furo[3,2-b]pyrrole
    "c1cc2sccc2[nH]1",  # thieno[3,2-b]pyrrole
)
_HALF_AROMATICS = (
    "c1ccc2c(c1)CC2",  # benzocyclobutene
    "c1ccc2c(c1)CCC2",  # indane
    "c1cc2c([nH]1)CCC2",
    "c1cc2c(o1)CCC2",
    "c1cc2c(s1)CCC2",
)
_LINKED_TO = (
    "C1CC1",
    "C1CCC1",
    "C1COC1",
    "C1CNC1",
    "c1ccoc1",
    "c1cc[nH]c1",
    "c1ccsc1",
    "c1c[nH]cn1",
    "c1cnoc1",
)

_Edit = Callable[[Chem.Mol], Iterator[Chem.RWMol]]


def ring_systems(max_atoms: int) -> list[str]:
    """Enumerate single, fused, bridged, spiro and linked ring systems.

    Args:
        max_atoms: the largest number of heavy atoms of a ring system.

    Returns:
        Canonical SMILES, sorted by size and then by text; every one passes `is_plausible`.
    """
    grown = _grown_rings()
    single = sorted(smiles for smiles in grown if CalcNumRings(Chem.MolFromSmiles(smiles)) == 1)
    sizes = {
        smiles: mol.GetNumAtoms()
        for smiles in grown | _linked(single, max_atoms)
        if is_plausible(mol := Chem.MolFromSmiles(smiles)) and mol.GetNumAtoms() <= max_atoms
    }
    return sorted(sizes, key=lambda smiles: (sizes[smiles], smiles))


def _grown_rings() -> set[str]:
    saturated = _closure(_CARBOCYCLES, (_hetero_for_methylene,), rounds=2)
    unsaturated = _closure(saturated, (_alkene, _carbonyl), rounds=2)
    aromatic = _closure(_AROMATICS, (_aza_for_methine,), rounds=2)
    half = _closure(_HALF_AROMATICS, (_aza_for_methine, _hetero_for_methylene, _alkene, _carbonyl), rounds=2)
    return unsaturated | aromatic | half


def _linked(single_rings: Iterable[str], max_atoms: int) -> set[str]:
    """Join two single rings by a bond, wherever both have a hydrogen."""
    pairs = (
        (ring, partner)
        for ring, partner in product(
            map(Chem.MolFromSmiles, single_rings), map(Chem.MolFromSmiles, _LINKED_TO)
        )
        if ring.GetNumAtoms() + partner.GetNumAtoms() <= max_atoms
    )
    joined = (bonded(ring, site, partner) for ring, partner in pairs for site in open_sites(ring))
    return {Chem.MolToSmiles(mol) for mol in joined if mol is not None}


def _closure(seeds: Iterable[str], edits: Sequence[_Edit], rounds: int) -> set[str]:
    """Apply every edit wherever it fits, `rounds` times over, and keep what is plausible on the way."""
    found = {Chem.MolToSmiles(Chem.MolFromSmiles(seed)) for seed in seeds}
    newest = set(found)
    for _ in range(rounds):
        edited = (
            new for smiles in sorted(newest) for edit in edits for new in edit(Chem.MolFromSmiles(smiles))
        )
        newest = {Chem.MolToSmiles(mol) for new in edited if (mol := _plausible(new)) is not None} - found
        found |= newest
    return found


def _plausible(edited: Chem.RWMol) -> Chem.Mol | None:
    """Return an edited graph as a molecule; None where valences or aromaticity do not close."""
    if Chem.SanitizeMol(edited, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    return edited.GetMol() if is_plausible(edited) else None


def bonded(mol: Chem.Mol, site: int, fragment: Chem.Mol) -> Chem.Mol | None:
    """Bond a fragment's first atom to one atom of a molecule.

    Args:
        mol: the molecule that grows.
        site: index of an atom of `mol` that has a hydrogen to give.
        fragment: what is added; its first atom must have a hydrogen to give too.

    Returns:
        The product, or None where it is not plausible.
    """
    joined = Chem.RWMol(Chem.CombineMols(mol, fragment))
    for end in (site, mol.GetNumAtoms()):
        # An aromatic N-H carries its hydrogen explicitly, and gives it up for the new bond.
        joined.GetAtomWithIdx(end).SetNumExplicitHs(0)
    joined.AddBond(site, mol.GetNumAtoms(), Chem.BondType.SINGLE)
    return _plausible(joined)


def open_sites(mol: Chem.Mol) -> list[int]:
    """List the atoms that have a hydrogen to give for a new bond."""
    return [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetTotalNumHs() > 0]


def _aza_for_methine(mol: Chem.Mol) -> Iterator[Chem.RWMol]:
    for atom in mol.GetAtoms():
        if atom.GetIsAromatic() and atom.GetSymbol() == "C" and atom.GetTotalNumHs() == 1:
            yield _with_element(mol, atom.GetIdx(), 7)


def _hetero_for_methylene(mol: Chem.Mol) -> Iterator[Chem.RWMol]:
    for index in _methylenes(mol):
        for atomic_number in (7, 8, 16):
            yield _with_element(mol, index, atomic_number)


def _alkene(mol: Chem.Mol) -> Iterator[Chem.RWMol]:
    methylenes = set(_methylenes(mol))
    for bond in mol.GetBonds():
        if {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()} <= methylenes:
            edited = Chem.RWMol(mol)
            edited.GetBondWithIdx(bond.GetIdx()).SetBondType(Chem.BondType.DOUBLE)
            yield edited


def _carbonyl(mol: Chem.Mol) -> Iterator[Chem.RWMol]:
    for index in _methylenes(mol):
        edited = Chem.RWMol(mol)
        edited.AddBond(index, edited.AddAtom(Chem.Atom(8)), Chem.BondType.DOUBLE)
        yield edited


def _methylenes(mol: Chem.Mol) -> list[int]:
    pattern = Chem.MolFromSmarts("[CX4H2;R]")
    return [match[0] for match in mol.GetSubstructMatches(pattern)]


def _with_element(mol: Chem.Mol, index: int, atomic_number: int) -> Chem.RWMol:
    edited = Chem.RWMol(mol)
    edited.GetAtomWithIdx(index).SetAtomicNum(atomic_number)
    return edited
