import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.standardise import Standardisation, canonicalise, parse_smiles, standardise

DRUGS = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[C@H](N)C(=O)O",
    "F/C=C/Cl",
    "O=C([O-])c1ccccc1.[Na+]",
    "C[N+](C)(C)CC(=O)[O-]",
    "NCCCCC1N[Zn-2]2(NC(CCC(N)=O)C(=O)O2)OC1=O",
    "CC1=CC2=[N+]3C1=Cc1cc(C)c4n1[Mn]31(Cl)n3c(c(C)c(CCC(=O)O)c3=CC3=[N+]1C(=C4)C(C)=C3CCC(=O)O)=C2",
)


def _canonical(smiles: str, mode: Standardisation = "clean") -> str:
    return canonicalise(standardise(parse_smiles(smiles), mode), max_atoms=256).smiles


@pytest.mark.parametrize(
    ("smiles", "mode", "expected"),
    [
        ("CC(=O)O[Na]", "none", "CC(=O)O[Na]"),
        ("CC(=O)O[Na]", "clean", "CC(=O)[O-].[Na+]"),
        ("CC(=O)O[Na]", "parent", "CC(=O)O"),
        ("CN(=O)=O", "clean", "C[N+](=O)[O-]"),
        ("[2H]C([2H])(O)C", "clean", "[2H]C([2H])(C)O"),
        ("[13CH3]O", "parent", "[13CH3]O"),
        ("C[C@H](N)C(=O)O", "clean", "C[C@H](N)C(=O)O"),
        ("[NH3+]CC(=O)[O-]", "clean", "[NH3+]CC(=O)[O-]"),
    ],
)
def test_modes(smiles: str, mode: Standardisation, expected: str) -> None:
    assert _canonical(smiles, mode) == Chem.MolToSmiles(Chem.MolFromSmiles(expected))


@pytest.mark.parametrize("mode", ["none", "clean", "parent"])
@settings(max_examples=40, deadline=None)
@given(smiles=st.sampled_from(DRUGS), seed=st.integers(1, 10**6))
def test_the_same_molecule_written_in_two_ways_is_one(mode: Standardisation, smiles: str, seed: int) -> None:
    other = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)[0]
    assert _canonical(other, mode) == _canonical(smiles, mode)


@pytest.mark.parametrize("smiles", DRUGS)
@pytest.mark.parametrize("mode", ["none", "clean", "parent"])
def test_canonical_smiles_are_their_own_canonical_form(smiles: str, mode: Standardisation) -> None:
    once = _canonical(smiles, mode)
    assert Chem.MolToSmiles(Chem.MolFromSmiles(once)) == once


@pytest.mark.parametrize("smiles", ["OC(=O)C[C@H](N)C", "[H]OC([2H])C", "[Na+].[O-]C(=O)C", "CC(=O)O[Na]"])
def test_the_map_leads_back_to_the_written_atoms(smiles: str) -> None:
    molecule = canonicalise(standardise(parse_smiles(smiles), "clean"), max_atoms=256)
    written = Chem.MolFromSmiles(smiles, sanitize=False)
    heavy = [atom.GetSymbol() for atom in molecule.mol.GetAtoms() if atom.GetAtomicNum() > 1]
    assert [written.GetAtomWithIdx(int(place)).GetSymbol() for place in molecule.atom_map] == heavy
    assert len(set(molecule.atom_map.tolist())) == len(heavy)


def test_the_parent_leaves_the_counter_ion_out_of_the_map() -> None:
    molecule = canonicalise(standardise(parse_smiles("[Na+].[O-]C(=O)C"), "parent"), max_atoms=256)
    np.testing.assert_array_equal(np.sort(molecule.atom_map), [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("text", "stage", "reason"),
    [
        ("", "parse", "empty SMILES"),
        ("  ", "parse", "empty SMILES"),
        ("CCX", "parse", "syntax error while parsing: CCX"),
        ("C1CC", "parse", "unclosed ring"),
        ("c1cccc1", "parse", "Can't kekulize"),
        ("C(C)(C)(C)(C)C", "parse", "Explicit valence for atom # 0 C, 5, is greater than permitted"),
        ("C–C", "parse", "syntax error"),
        ("C\x00C", "parse", "syntax error"),
        ("CC*", "parse", r"atom 2 \(\*\) is no element"),
        ("[H][H]", "standardise", "no heavy atoms"),
        ("C" * 257, "standardise", "257 heavy atoms, max_atoms is 256"),
    ],
)
def test_what_is_no_molecule_is_rejected_with_a_reason(
    text: str, stage: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Rejected, match=reason) as rejection:
        _canonical(text)
    assert rejection.value.stage == stage
    assert rejection.value.reason
    assert capfd.readouterr().err == ""
