import numpy as np
import pytest
from rdkit import Chem

from unimol2_tasks.chemistry.parsing import parse, parse_smiles
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.structure import Structure

ETHANOL = Chem.MolToMolBlock(Chem.AddHs(Chem.MolFromSmiles("OCC")))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty SMILES"),
        ("  \t ", "empty SMILES"),
        ("CCX", "syntax error while parsing: CCX"),
        ("C1CC", "unclosed ring"),
        ("c1cccc1", "Can't kekulize"),
        ("C(C)(C)(C)(C)C", "Explicit valence for atom # 0 C, 5, is greater than permitted"),
        ("C–C", "'–' is no character of SMILES"),
        ("CCé", "'é' is no character of SMILES"),
        ("CCO\nCCN", r"'\\n' is no character of SMILES"),
        ("C\x00C", "syntax error"),
        ("CC*", r"atom 2 \(\*\) is a wildcard, no element"),
        ("C~C", "the bond between atoms 0 and 1 is a query, of no definite order"),
        ("CCO>>CC=O", "a reaction, not a molecule"),
        ("CC(=O)O.N>[Pt]>CC(N)=O", "a reaction, not a molecule"),
        ("nan", "'nan' stands for a missing value, not for a molecule"),
        ("N/A", "'N/A' stands for a missing value, not for a molecule"),
        ("InChI=1S/CH4/h1H4", "an InChI, not SMILES"),
        ("CCO |foo|", "its CXSMILES extension cannot be read"),
        ("CC |Sg:n:0,1::ht|", "a polymer's repeating unit, not a molecule"),
        ("=1+1", r"syntax error while parsing: =1\+1"),
        ("C" * 65537, "65,537 atoms; at most 65,536 can be numbered"),
    ],
)
def test_what_is_no_molecule_is_rejected_with_a_reason(
    text: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Rejected, match=reason) as rejection:
        parse_smiles(text)
    assert rejection.value.stage == "parse"
    assert len(rejection.value.reason) <= 200
    assert "\n" not in rejection.value.reason
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("text", ["CCO ethanol", "CCO\tethanol", "  CCO  äthanol", "CCO |$;;OH$| ethanol"])
def test_a_name_behind_the_smiles_is_left_out(text: str) -> None:
    assert Chem.MolToSmiles(parse_smiles(text)) == "CCO"


def test_an_extension_of_the_smiles_belongs_to_the_molecule() -> None:
    assert Chem.MolToSmiles(parse_smiles("CC |^1:0|")) == "[CH2]C"


@pytest.mark.parametrize(
    ("structure", "symbols"),
    [
        (Structure("[H]OC([2H])C"), {1: "O", 2: "C", 3: "H", 4: "C"}),
        (Structure(mol_block=ETHANOL), {0: "O", 1: "C", 2: "C"}),
        (Structure(mol_block=Chem.MolToV3KMolBlock(Chem.MolFromMolBlock(ETHANOL))), {0: "O", 1: "C", 2: "C"}),
    ],
    ids=["SMILES", "V2000", "V3000"],
)
def test_places_count_every_written_atom(structure: Structure, symbols: dict[int, str]) -> None:
    parsed = parse(structure)
    found = [atom.GetSymbol() for atom in parsed.mol.GetAtoms()]
    assert dict(zip(parsed.places.tolist(), found, strict=True)) == symbols


def _with_first_atom(replacement: str) -> str:
    lines = ETHANOL.splitlines()
    lines[4] = lines[4].replace(" O  ", f" {replacement:<3}", 1)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("", "empty mol block"),
        ("no\nmol\n\nblock\n", "Counts line too short"),
        ("$RXN\n\n\n\n  1  1\n", "a reaction, not a molecule"),
        (_with_first_atom("A"), r"atom 0 .* is a wildcard, no element"),
        (_with_first_atom("R#"), r"atom 0 .* is a wildcard, no element"),
        (_with_first_atom("Zz"), "Element 'Zz' not found"),
        (_with_first_atom("F"), "Explicit valence for atom # 0 F"),
        (ETHANOL.replace("  1  2  1  0", "  1  2  8  0"), "bond between atoms 0 and 1 is a query"),
        ("\n".join(ETHANOL.splitlines()[:7]), "EOF hit while reading atoms"),
        ("\n  x\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n", "no atoms"),
    ],
)
def test_a_bad_mol_block_is_rejected_with_a_reason(
    block: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Rejected, match=reason) as rejection:
        parse(Structure(mol_block=block))
    assert rejection.value.stage == "parse"
    assert "\n" not in rejection.value.reason
    assert capfd.readouterr().err == ""


def test_places_are_small_integers_in_written_order() -> None:
    np.testing.assert_array_equal(parse(Structure("OCC")).places, [0, 1, 2])
