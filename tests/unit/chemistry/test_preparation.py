import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolAlign
from scipy.spatial.distance import pdist

from unimol2_tasks.chemistry.conformers import ATTEMPTS, conformer_seed, embed_conformers
from unimol2_tasks.chemistry.preparation import build_molecule, identify, prepare_molecule
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.params import PrepareParams

PARAMS = PrepareParams(conformers=2, prune_rmsd=0)


@pytest.mark.parametrize(
    ("smiles", "elements"),
    [("C", [6]), ("O", [8]), ("[Na+]", [11]), ("[Xe]", [54]), ("[Na+].[Cl-]", [17, 11]), ("[H]O[H]", [8])],
)
def test_the_smallest_molecules_work(smiles: str, elements: list[int]) -> None:
    prepared = prepare_molecule(smiles, PARAMS)
    assert prepared.tokens.tolist() == elements
    assert prepared.positions.shape == (2, len(elements), 3)
    assert prepared.flat_positions.shape == (len(elements), 2)


def test_two_ways_of_writing_give_the_same_conformers() -> None:
    one = prepare_molecule("CC(=O)Oc1ccccc1C(=O)O", PARAMS)
    other = prepare_molecule("OC(=O)c1ccccc1OC(C)=O", PARAMS)
    assert (one.smiles, one.inchikey, one.scaffold) == (other.smiles, other.inchikey, "c1ccccc1")
    np.testing.assert_array_equal(one.positions, other.positions)
    np.testing.assert_array_equal(one.graph.path_lengths, other.graph.path_lengths)
    assert one.atom_map.tolist() != other.atom_map.tolist()


def test_conformers_do_not_depend_on_what_was_prepared_before() -> None:
    first = prepare_molecule("CCCCCCO", PARAMS).positions
    prepare_molecule("c1ccccc1CCN", PARAMS)
    np.testing.assert_array_equal(prepare_molecule("CCCCCCO", PARAMS).positions, first)


def test_seed_and_molecule_choose_the_conformers() -> None:
    changed = PARAMS.model_copy(update={"seed": 1})
    assert not np.array_equal(
        prepare_molecule("CCCCCCO", PARAMS).positions, prepare_molecule("CCCCCCO", changed).positions
    )
    assert conformer_seed(0, "A") != conformer_seed(0, "B")
    assert 0 <= conformer_seed(2**40, "A") < 2**31


def test_structures_have_the_lengths_of_real_bonds() -> None:
    prepared = prepare_molecule("Cn1c(=O)c2c(ncn2C)n(C)c1=O", PARAMS)
    begin, end = prepared.graph.bonds.T
    bonds = np.linalg.norm(prepared.positions[:, begin] - prepared.positions[:, end], axis=-1)
    assert ((bonds > 1.15) & (bonds < 1.55)).all()
    assert prepared.method == "etkdg+mmff94s"


@pytest.mark.parametrize("smiles", ["[Na+].[Cl-]", "CC(=O)Oc1ccccc1C(=O)O.[K+]", "O.O"])
def test_fragments_do_not_lie_on_top_of_each_other(smiles: str) -> None:
    prepared = prepare_molecule(smiles, PARAMS)
    for positions in prepared.positions:
        assert pdist(positions).min() > 1.0
        assert pdist(positions).max() < 30.0


def test_energies_are_those_of_the_force_field_and_ascend() -> None:
    prepared = prepare_molecule("CCCCCCO", PARAMS.model_copy(update={"conformers": 6}))
    assert prepared.energies.dtype == np.float32
    assert len(prepared.energies) == prepared.conformers == 6
    assert (np.diff(prepared.energies) >= 0).all()
    # Water has one shape, so that its energy is a number of MMFF94s alone.
    mol = Chem.AddHs(Chem.MolFromSmiles("O"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    (_, energy), *_ = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, mmffVariant="MMFF94s")
    assert prepare_molecule("O", PARAMS).energies == pytest.approx([energy, energy], abs=1e-3)


def test_of_conformers_that_are_alike_the_best_stays() -> None:
    mol = Chem.MolFromSmiles("CCCCCCO")
    every = embed_conformers(mol, 12, seed=1)
    pruned = embed_conformers(mol, 12, seed=1, prune_rmsd=0.5)
    assert 1 < len(pruned.positions) < len(every.positions)
    np.testing.assert_array_equal(pruned.positions[0], every.positions[0])
    kept = Chem.Mol(mol)
    for positions in pruned.positions:
        conformer = Chem.Conformer(kept.GetNumAtoms())
        conformer.SetPositions(positions.astype(np.float64))
        kept.AddConformer(conformer, assignId=True)
    assert min(rdMolAlign.GetAllConformerBestRMS(kept)) >= 0.5 - 1e-4


def test_rigid_molecules_have_one_conformer() -> None:
    assert prepare_molecule("Clc1ccccc1", PrepareParams()).conformers == 1


def test_a_molecule_that_cannot_exist_in_space_is_rejected() -> None:
    with pytest.raises(Rejected, match="no structure satisfies the distance bounds") as rejection:
        prepare_molecule("C1#CC1", PARAMS)
    assert rejection.value.stage == "conformers"


@pytest.mark.parametrize("smiles", ["CC1(C)C2CCC1C2N", "C1C2CC1C1CC(C2)S1", "C1OC2CC1C2"])
def test_strained_cages_have_a_structure(smiles: str) -> None:
    assert prepare_molecule(smiles, PrepareParams(conformers=1)).method == "etkdg+mmff94s"


def test_where_the_distances_lead_nowhere_random_coordinates_do() -> None:
    mol = Chem.MolFromSmiles("CCCCN(CCc1ccccc1)CCc1cccc(O)c1")
    options: Any = rdDistGeom.ETKDGv3()
    options.randomSeed = 11
    options.maxIterations = ATTEMPTS
    assert not rdDistGeom.EmbedMultipleConfs(Chem.AddHs(mol), 1, options)
    assert len(embed_conformers(mol, 1, seed=11).positions) == 1


def test_identities_travel_between_processes() -> None:
    identity = pickle.loads(pickle.dumps(identify("[Na+].OCC", PARAMS)))  # noqa: S301 - our own bytes
    assert prepare_molecule("[Na+].OCC", PARAMS).smiles == build_molecule(identity, PARAMS).smiles


def test_where_no_force_field_knows_the_element_the_method_says_so() -> None:
    assert prepare_molecule("CB1OC(C)O1", PARAMS).method == "etkdg+uff"
    xenon = prepare_molecule("[Xe]", PARAMS)
    assert xenon.method == "etkdg"
    assert np.isnan(xenon.energies).all()


def test_stereo_in_space_is_the_stereo_that_was_written() -> None:
    for smiles in ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"):
        prepared = prepare_molecule(smiles, PARAMS)
        mol = Chem.MolFromSmiles(prepared.smiles)
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.SetPositions(prepared.positions[0].astype(np.float64))
        mol.AddConformer(conformer)
        Chem.AssignStereochemistryFrom3D(mol, replaceExistingTags=True)
        assert Chem.MolToSmiles(mol) == prepared.smiles


def test_the_drawing_is_flat_and_in_molecule_units() -> None:
    flat = prepare_molecule("CCO", PARAMS).molecule(flat=True).positions
    np.testing.assert_array_equal(flat[:, 2], 0.0)
    assert np.linalg.norm(flat[0] - flat[1]) == pytest.approx(1.5, abs=0.01)


def test_identity_is_that_of_the_prepared_molecule() -> None:
    prepared = prepare_molecule("OCC", PARAMS)
    assert identify("C(C)O", PARAMS).inchikey == prepared.inchikey == "LFQSCWFLJHTTHZ-UHFFFAOYSA-N"


def test_preparation_never_imports_torch() -> None:
    code = (
        "import sys; from unimol2_tasks.stages import prepare; "
        "from unimol2_tasks.chemistry.preparation import prepare_molecule; "
        "from unimol2_tasks.params import PrepareParams; "
        "prepare_molecule('CCO', PrepareParams()).molecule(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
