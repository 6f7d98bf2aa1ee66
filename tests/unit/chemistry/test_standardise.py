import csv
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from unimol2_tasks.chemistry.preparation import Identity, identify
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.params import PrepareParams

DEMO = Path(__file__).parents[3] / "data" / "demo" / "molecules.csv"
DIFFICULT = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[C@H](N)C(=O)O",
    "F/C=C/Cl",
    "O=C([O-])c1ccccc1.[Na+]",
    "C[N+](C)(C)CC(=O)[O-]",
    "CS(C)=O",
    "CN(=O)=O.[2H]OC",
    "OC(=O)c1ccccc1S(=O)(=O)[O-].[K+]",
    "NCCCCC1N[Zn-2]2(NC(CCC(N)=O)C(=O)O2)OC1=O",
    "CC1=CC2=[N+]3C1=Cc1cc(C)c4n1[Mn]31(Cl)n3c(c(C)c(CCC(=O)O)c3=CC3=[N+]1C(=C4)C(C)=C3CCC(=O)O)=C2",
    "CC[N+]1(CC)CCC(=O)[Pd-2]1(Cl)NCCO",
)


@cache
def _demo() -> tuple[str, ...]:
    with DEMO.open(newline="", encoding="utf-8") as file:
        return tuple(row["smiles"] for row in csv.DictReader(file))


def _spelled(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


def _params(mode: str = "clean", **options: bool) -> PrepareParams:
    return PrepareParams.model_validate({"standardise": mode, **options})


def _without_map(identity: Identity) -> tuple[object, ...]:
    return identity.smiles, identity.inchikey, identity.scaffold, identity.changes


@pytest.mark.parametrize(
    ("smiles", "params", "expected", "changes"),
    [
        ("OCC", _params(), "CCO", ()),
        ("CC(=O)O[Na]", _params("none"), "CC(=O)O[Na]", ()),
        ("CC(=O)O[Na]", _params("clean"), "CC(=O)[O-].[Na+]", ("cleaned",)),
        ("CC(=O)O[Na]", _params("parent"), "CC(=O)O", ("cleaned", "fragments", "charges")),
        ("CC(=O)[O-].[Na+]", _params("parent"), "CC(=O)O", ("fragments", "charges")),
        ("CCO.O", _params("parent"), "CCO", ("fragments",)),
        ("C[NH3+]", _params("parent"), "CN", ("charges",)),
        ("C[N+](C)(C)C", _params("parent"), "C[N+](C)(C)C", ()),
        ("CS(C)=O", _params(), "C[S+](C)[O-]", ("cleaned",)),
        ("[2H]C([2H])(O)C", _params(), "[2H]C([2H])(C)O", ()),
        ("[2H]C([2H])(O)C", _params("none", remove_isotopes=True), "CCO", ("isotopes",)),
        ("[13CH3]O", _params("parent"), "[13CH3]O", ()),
        ("[13CH3]O", _params(remove_isotopes=True), "CO", ("isotopes",)),
        ("CO", _params(remove_isotopes=True, remove_stereo=True), "CO", ()),
        ("C[C@H](N)C(=O)O", _params(), "C[C@H](N)C(=O)O", ()),
        ("C[C@H](N)C(=O)O", _params(remove_stereo=True), "CC(N)C(=O)O", ("stereo",)),
        ("F/C=C/Cl", _params("none", remove_stereo=True), "FC=CCl", ("stereo",)),
        ("C[C@H]([13CH3])O", _params(remove_isotopes=True), "CC(C)O", ("isotopes",)),
        ("CC(O)=CC", _params(tautomer=True), "CCC(C)=O", ("tautomer",)),
        ("CCC(C)=O", _params(tautomer=True), "CCC(C)=O", ()),
        ("[NH3+]CC(=O)[O-]", _params(), "[NH3+]CC(=O)[O-]", ()),
    ],
)
def test_what_is_done_is_what_is_asked_for_and_what_is_said(
    smiles: str, params: PrepareParams, expected: str, changes: tuple[str, ...]
) -> None:
    identity = identify(smiles, params)
    assert identity.smiles == Chem.MolToSmiles(Chem.MolFromSmiles(expected))
    assert identity.changes == changes


@pytest.mark.parametrize(
    "params",
    [_params("none"), _params("clean"), _params("parent"), _params("parent", tautomer=True)],
    ids=["none", "clean", "parent", "tautomer"],
)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(1, 10**6))
def test_the_same_molecule_written_in_another_way_has_the_same_identity(
    params: PrepareParams, data: st.DataObject, seed: int
) -> None:
    smiles = data.draw(st.sampled_from(DIFFICULT) | st.sampled_from(_demo()))
    other = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)[0]
    one, two = identify(smiles, params), identify(other, params)
    assert _without_map(one) == _without_map(two)
    assert len(one.atom_map) == len(two.atom_map)


@pytest.mark.parametrize("mode", ["clean", "parent"])
def test_standard_forms_are_those_of_rdkit(mode: str) -> None:
    standardise: dict[str, Any] = {
        "clean": rdMolStandardize.CleanupInPlace,
        "parent": rdMolStandardize.ChargeParentInPlace,
    }
    for smiles in (*DIFFICULT, *_demo()[::20]):
        mol = Chem.MolFromSmiles(_spelled(smiles))
        with rdBase.BlockLogs():
            standardise[mode](mol)
            Chem.SanitizeMol(mol)
        assert identify(smiles, _params(mode)).smiles == Chem.MolToSmiles(mol), smiles


@pytest.mark.parametrize("smiles", DIFFICULT)
@pytest.mark.parametrize("mode", ["none", "clean", "parent"])
def test_canonical_smiles_are_their_own_canonical_form(smiles: str, mode: str) -> None:
    once = identify(smiles, _params(mode)).smiles
    assert _spelled(once) == once


@pytest.mark.parametrize("smiles", ["OC(=O)C[C@H](N)C", "[H]OC([2H])C", "[Na+].[O-]C(=O)C", "CC(=O)O[Na]"])
def test_the_map_leads_back_to_the_written_atoms(smiles: str) -> None:
    identity = identify(smiles, _params())
    written = Chem.MolFromSmiles(smiles, sanitize=False)
    atoms = Chem.MolFromSmiles(identity.smiles).GetAtoms()
    heavy = [atom.GetSymbol() for atom in atoms if atom.GetAtomicNum() > 1]
    assert [written.GetAtomWithIdx(int(place)).GetSymbol() for place in identity.atom_map] == heavy
    assert len(set(identity.atom_map.tolist())) == len(heavy)


def test_the_parent_leaves_the_counter_ion_out_of_the_map() -> None:
    identity = identify("[Na+].[O-]C(=O)C", _params("parent"))
    np.testing.assert_array_equal(np.sort(identity.atom_map), [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [("[H][H]", "no heavy atoms"), ("C" * 257, "257 heavy atoms, max_atoms is 256")],
)
def test_molecules_of_no_use_are_rejected(smiles: str, reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as rejection:
        identify(smiles, _params())
    assert rejection.value.stage == "standardise"
