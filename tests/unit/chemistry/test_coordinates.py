import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom

from unimol2_tasks.chemistry.preparation import identify, prepare_molecule
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.structure import AtomPositions, Structure
from unimol2_tasks.params import PrepareParams

DEMO = Path(__file__).parents[3] / "data" / "demo" / "molecules.csv"
KEEP = PrepareParams(coordinates="keep")
KEEP_PARENT = PrepareParams(coordinates="keep", standardise="parent")
KEEP_ELSE = PrepareParams(coordinates="keep-else-generate", conformers=1)


@cache
def _small_molecules() -> tuple[str, ...]:
    with DEMO.open(newline="", encoding="utf-8") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    return tuple(text for text in smiles if len(text) < 30)[::50]


def _embedded(smiles: str, hydrogens: bool = True, conformers: int = 1) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMultipleConfs(mol, conformers, randomSeed=7)
    return mol if hydrogens else Chem.RemoveHs(mol)


def _shuffled(mol: Chem.Mol, seed: int) -> Chem.Mol:
    order = np.random.default_rng(seed).permutation(mol.GetNumAtoms())
    return Chem.RenumberAtoms(mol, order.tolist())


def _atom_positions(mol: Chem.Mol) -> AtomPositions:
    symbols = tuple(atom.GetSymbol() for atom in mol.GetAtoms())
    return AtomPositions(symbols, np.array([c.GetPositions() for c in mol.GetConformers()], np.float32))


@settings(max_examples=25, deadline=None)
@given(
    smiles=st.deferred(lambda: st.sampled_from(_small_molecules())),
    seed=st.integers(0, 10**6),
    hydrogens=st.booleans(),
    v3000=st.booleans(),
)
def test_kept_coordinates_of_a_mol_block_are_those_of_its_atom_lines(
    smiles: str, seed: int, hydrogens: bool, v3000: bool
) -> None:
    mol = _embedded(smiles, hydrogens)
    if not mol.GetNumConformers():
        return
    mol = _shuffled(mol, seed)
    block = (Chem.MolToV3KMolBlock if v3000 else Chem.MolToMolBlock)(mol)
    written = Chem.MolFromMolBlock(block, removeHs=False)
    positions = written.GetConformer().GetPositions().astype(np.float32)
    identity = identify(Structure(mol_block=block), KEEP)
    assert identity.positions is not None
    np.testing.assert_array_equal(identity.positions[0], positions[identity.atom_map])
    symbols = [atom.GetSymbol() for atom in Chem.MolFromSmiles(identity.smiles).GetAtoms()]
    assert [written.GetAtomWithIdx(int(place)).GetSymbol() for place in identity.atom_map] == symbols
    assert identity.inchikey == identify(Chem.MolToSmiles(written), KEEP_ELSE).inchikey


def test_a_prepared_molecule_keeps_given_coordinates_without_energies() -> None:
    block = Chem.MolToMolBlock(_embedded("OCC"))
    prepared = prepare_molecule(Structure(mol_block=block), KEEP)
    positions = Chem.MolFromMolBlock(block).GetConformer().GetPositions().astype(np.float32)
    assert prepared.method == "given"
    np.testing.assert_array_equal(prepared.positions[0], positions[[2, 1, 0]])
    assert np.isnan(prepared.energies).all()
    generated = prepare_molecule("OCC", PrepareParams(conformers=1)).graph
    np.testing.assert_array_equal(prepared.graph.atom_features, generated.atom_features)


def test_stereo_comes_from_space_where_there_is_space() -> None:
    mol = _embedded("C[C@H](N)C(=O)O")
    block = Chem.MolToMolBlock(mol)
    assert identify(Structure(mol_block=block), KEEP).smiles == "C[C@H](N)C(=O)O"
    mirrored = Chem.Mol(mol)
    conformer = mirrored.GetConformer()
    conformer.SetPositions(conformer.GetPositions() * [-1.0, 1.0, 1.0])
    block = Chem.MolToMolBlock(mirrored)
    for params in (KEEP, PrepareParams()):
        assert identify(Structure(mol_block=block), params).smiles == "C[C@@H](N)C(=O)O"


@pytest.mark.parametrize("hydrogens", [True, False])
def test_coordinates_beside_smiles_are_mapped_by_order(hydrogens: bool) -> None:
    smiles = "OC(=O)C[C@H](N)C"
    mol = _embedded(smiles, hydrogens, conformers=3)
    given = _atom_positions(mol)
    identity = identify(Structure(smiles, coordinates=given), KEEP)
    assert identity.positions is not None
    np.testing.assert_array_equal(identity.positions, given.positions[:, identity.atom_map])


def test_written_hydrogens_do_not_shift_the_coordinates() -> None:
    smiles = "[H]OC([2H])C"
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    given = _atom_positions(mol)
    identity = identify(Structure(smiles, coordinates=given), KEEP)
    assert identity.positions is not None
    assert sorted(identity.atom_map.tolist()) == [1, 2, 4]
    rows = {1: 0, 2: 1, 4: 3}
    expected = given.positions[0, [rows[place] for place in identity.atom_map.tolist()]]
    np.testing.assert_array_equal(identity.positions[0], expected)


def test_the_parent_keeps_the_coordinates_of_what_is_left() -> None:
    mol = _embedded("[Na+].OC(=O)CN")
    given = _atom_positions(mol)
    identity = identify(Structure("[Na+].OC(=O)CN", coordinates=given), KEEP_PARENT)
    assert identity.positions is not None
    assert 0 not in identity.atom_map
    np.testing.assert_array_equal(identity.positions[0], given.positions[0, identity.atom_map])


def test_drawings_among_the_conformers_are_left_out_and_the_number_is_limited() -> None:
    mol = _embedded("CCCCO", hydrogens=False, conformers=4)
    given = _atom_positions(mol)
    given.positions[1, :, 2] = 0.0
    identity = identify(
        Structure("CCCCO", coordinates=given), PrepareParams(coordinates="keep", conformers=2)
    )
    assert identity.positions is not None
    np.testing.assert_array_equal(identity.positions, given.positions[[0, 2]][:, identity.atom_map])


def _drawn(smiles: str) -> str:
    mol = Chem.MolFromSmiles(smiles)
    rdDepictor.Compute2DCoords(mol)
    return Chem.MolToMolBlock(mol)


def _beside(symbols: str, positions: list[list[float]]) -> Structure:
    return Structure("CO", coordinates=AtomPositions(tuple(symbols), np.array([positions], np.float32)))


@pytest.mark.parametrize(
    ("structure", "reason"),
    [
        (Structure("CO"), "no coordinates were given"),
        (Structure(mol_block=_drawn("CO")), "a drawing in two dimensions"),
        (_beside("CO", [[0, 0, 0], [1.4, 0, 0]]), "a drawing in two dimensions"),
        (_beside("CO", [[0, 0, 0], [0, 0, 0]]), "put all atoms in one place"),
        (_beside("CO", [[0, 0, 0], [0, 0, np.nan]]), "not finite"),
        (_beside("CN", [[0, 0, 0], [0, 0, 1.4]]), "atom 1 is O in the SMILES, N in the given coordinates"),
        (_beside("COC", [[0, 0, 0], [0, 0, 1], [0, 0, 2]]), "of 3 atoms; the SMILES has 2 heavy atoms and 4"),
        (_beside("COO", [[0, 0, 0], [0, 0, 1]]), r"have the shape \[1, 2, 3\] for 3 atoms"),
    ],
)
def test_molecules_without_coordinates_are_rejected_or_embedded(structure: Structure, reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as rejection:
        identify(structure, KEEP)
    assert rejection.value.stage == "conformers"
    assert identify(structure, KEEP_ELSE).positions is None
    assert prepare_molecule(structure, KEEP_ELSE).method == "etkdg+mmff94s"


def test_generating_ignores_given_coordinates() -> None:
    block = Chem.MolToMolBlock(_embedded("CCO"))
    assert identify(Structure(mol_block=block), PrepareParams()).positions is None


def test_a_single_atom_may_lie_anywhere() -> None:
    given = AtomPositions(("O",), np.zeros((1, 1, 3), np.float32))
    prepared = prepare_molecule(Structure("O", coordinates=given), KEEP)
    np.testing.assert_array_equal(prepared.positions, np.zeros((1, 1, 3)))
