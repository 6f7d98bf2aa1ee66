from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from unimol2_tasks.chemistry.features import featurize, graph_features
from unimol2_tasks.chemistry.rejection import Rejected


def _as_released(smiles: str) -> Chem.Mol:
    return Chem.RemoveAllHs(Chem.AddHs(Chem.MolFromSmiles(smiles)))


def test_features_equal_the_released_code(shared_dir: Path) -> None:
    golden = np.load(shared_dir / "reference" / "parity" / "features.npz")
    assert len(golden["smiles"]) == 345
    for number, smiles in enumerate(golden["smiles"]):
        mol = _as_released(str(smiles))
        ours = graph_features(mol).molecule(np.zeros((mol.GetNumAtoms(), 3)))
        pairs = {
            "z": ours.tokens,
            "atom_feat": ours.atom_features,
            "edge_feat": ours.bond_features,
            "shortest_path": ours.path_lengths,
            "degree": ours.degrees,
            "pair_type": ours.pair_types,
        }
        for name, array in pairs.items():
            np.testing.assert_array_equal(array, golden[f"{number}.{name}"], f"{smiles}: {name}")


def test_a_value_outside_its_list_takes_the_last_entry() -> None:
    charged = graph_features(Chem.MolFromSmiles("[C-9]", sanitize=True))
    # Column 2, list of 11 charges and "misc": place 11, + 3 + 16 * 2.
    assert charged.atom_features[0, 2] == 11 + 3 + 32


def test_unknown_chirality_and_stereo_take_the_last_entry() -> None:
    allene = Chem.MolFromSmiles("CC=C=CC")
    allene.GetAtomWithIdx(2).SetChiralTag(Chem.ChiralType.CHI_ALLENE)
    # Column 0, list of 7: place 6, + 3.
    assert graph_features(allene).atom_features[2, 0] == 6 + 3
    biaryl = Chem.MolFromSmiles("Cc1cccc(F)c1-c1c(C)cccc1F |wU:7.6|")
    bond = biaryl.GetBondBetweenAtoms(7, 8)
    assert bond.GetStereo() in (Chem.BondStereo.STEREOATROPCW, Chem.BondStereo.STEREOATROPCCW)
    # Column 1, list of 6: place 5, + 4 + 16.
    assert graph_features(biaryl).bond_features[bond.GetIdx(), 1] == 5 + 4 + 16


def test_a_bond_of_unknown_type_is_misc() -> None:
    dative = graph_features(Chem.MolFromSmiles("N->[Pt]"))
    assert dative.bond_features[0, 0] == 4 + 4


def test_atoms_in_different_fragments_are_unreachable() -> None:
    paths = graph_features(Chem.MolFromSmiles("CC.O")).path_lengths
    np.testing.assert_array_equal(paths, [[1, 2, 510], [2, 1, 510], [510, 510, 1]])


def test_paths_longer_than_the_table_stay_inside_the_embedding() -> None:
    paths = graph_features(Chem.MolFromSmiles("C" * 700)).path_lengths
    assert paths.max() == 510


def test_hydrogens_do_not_become_atoms_and_positions_follow_the_heavy_ones() -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    molecule = featurize(mol)
    assert molecule.tokens.tolist() == [6, 6, 8]
    np.testing.assert_allclose(molecule.positions, mol.GetConformer().GetPositions()[:3], atol=1e-6)


def test_a_missing_conformer_is_named() -> None:
    with pytest.raises(Rejected, match=r"no conformer 3; the molecule holds \[\]"):
        featurize(Chem.MolFromSmiles("CC"), conformer_id=3)


def test_hydrogen_alone_is_no_molecule() -> None:
    with pytest.raises(Rejected, match="no heavy atoms"):
        graph_features(Chem.MolFromSmiles("[H][H]"))
