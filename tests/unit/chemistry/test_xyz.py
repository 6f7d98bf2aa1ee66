"""Molecules from atoms in space."""

import tarfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.xyz import molecule_from_xyz


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=7)
    AllChem.MMFFOptimizeMolecule(mol)
    return mol


def canonical(mol: Chem.Mol) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(mol))


@pytest.mark.parametrize(
    "smiles",
    [
        "C",
        "O",
        "c1ccncc1",
        "CC(=O)O",
        "N#CC1CC1",
        "C[C@H](O)F",
        "C/C=C/C",
        "NC(=O)c1ccco1",
    ],
)
def test_bonds_orders_and_stereo_come_back(smiles: str) -> None:
    mol = embedded(smiles)
    found = molecule_from_xyz(Chem.MolToXYZBlock(mol))
    assert canonical(found) == canonical(Chem.MolFromSmiles(smiles))
    np.testing.assert_allclose(
        found.GetConformer().GetPositions(), mol.GetConformer().GetPositions(), atol=1e-5
    )


def test_an_ion_needs_its_charge() -> None:
    text = Chem.MolToXYZBlock(embedded("C[NH3+]"))
    assert canonical(molecule_from_xyz(text, charge=1)) == "C[NH3+]"
    with pytest.raises(Rejected):
        molecule_from_xyz(text)


@pytest.mark.parametrize("text", ["", "no xyz", "2\n\nH 0 0 0\nO 0 0 1.0\n", "1\n\nXx 0 0 0\n"])
def test_what_is_no_molecule_is_rejected(text: str) -> None:
    with pytest.raises(Rejected, match="parse"):
        molecule_from_xyz(text)


def test_dft_geometries_become_whole_neutral_molecules(shared_dir: Path) -> None:
    # The first five have no valid bonds at RDKit's own reach.
    names = ["gdb_81601", "gdb_77961", "gdb_110561", "gdb_67561", "gdb_66881"]
    with tarfile.open(shared_dir / "data" / "qm9_3000" / "qm9_xyz.tar.gz") as tar:
        members = {Path(member.name).stem: member for member in tar.getmembers() if member.isfile()}
        chosen = [*names, *islice(members, 40)]
        texts = [(tar.extractfile(members[name]) or pytest.fail(name)).read().decode() for name in chosen]
    for name, text in zip(chosen, texts, strict=True):
        mol = molecule_from_xyz(text)
        assert mol.GetNumAtoms() == int(text.split()[0]), name
        assert Chem.GetFormalCharge(mol) == 0, name
        assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()), name
        assert len(Chem.GetMolFrags(mol)) == 1, name
