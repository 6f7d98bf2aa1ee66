"""The embedded data is what its README says, and its script makes it again."""

import csv
import importlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from rdkit import Chem
from rdkit.Chem.Scaffolds.MurckoScaffold import GetScaffoldForMol

LABELS = ("homo_eV", "lumo_eV", "gap_eV", "dipole_debye")
LARGEST_SHARE = 0.08


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def inchikey(smiles: str) -> str:
    return str(Chem.MolToInchiKey(Chem.MolFromSmiles(smiles)))  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def molecules(project_root: Path) -> list[dict[str, str]]:
    return read(project_root / "data/demo/molecules.csv")


@pytest.fixture(scope="module")
def labelled(project_root: Path) -> list[dict[str, str]]:
    return read(project_root / "data/demo/labelled.csv")


@pytest.fixture(scope="module")
def make_demo(project_root: Path) -> Iterator[ModuleType]:
    """The script as a module; its folder is not a package, and is importable only when it runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(project_root / "data"))
        yield importlib.import_module("make_demo")


def test_molecules_are_distinct_and_enough_for_pretraining(molecules: list[dict[str, str]]) -> None:
    keys = {inchikey(row["smiles"]) for row in molecules}

    assert len(molecules) >= 4000
    assert len(keys) == len({row["id"] for row in molecules}) == len(molecules)


def test_well_known_molecules_have_their_names(molecules: list[dict[str, str]]) -> None:
    named = {row["id"]: row["smiles"] for row in molecules if not row["id"].startswith("grown-")}

    assert len(named) >= 200
    assert inchikey(named["caffeine"]) == "RYYVLZVUVIJVGH-UHFFFAOYSA-N"


def test_grown_molecules_are_small_neutral_and_organic(molecules: list[dict[str, str]]) -> None:
    grown = [Chem.MolFromSmiles(row["smiles"]) for row in molecules if row["id"].startswith("grown-")]

    assert {atom.GetSymbol() for mol in grown for atom in mol.GetAtoms()} == {"C", "N", "O", "F", "S", "Cl"}
    assert all(atom.GetFormalCharge() == 0 for mol in grown for atom in mol.GetAtoms())
    assert max(mol.GetNumAtoms() for mol in grown) <= 12


def test_labelled_molecules_are_grown_ones_without_charge_or_radical(
    molecules: list[dict[str, str]], labelled: list[dict[str, str]]
) -> None:
    grown = {row["id"]: row["smiles"] for row in molecules if row["id"].startswith("grown-")}
    mols = [Chem.MolFromSmiles(row["smiles"]) for row in labelled]

    assert 2800 <= len(labelled) <= 3200
    assert {row["id"]: row["smiles"] for row in labelled}.items() <= grown.items()
    assert all(Chem.GetFormalCharge(mol) == 0 for mol in mols)
    assert all(atom.GetNumRadicalElectrons() == 0 for mol in mols for atom in mol.GetAtoms())


def test_a_scaffold_split_has_many_scaffolds_to_choose_from(labelled: list[dict[str, str]]) -> None:
    scaffolds = Counter(
        Chem.MolToSmiles(GetScaffoldForMol(Chem.MolFromSmiles(row["smiles"])))  # type: ignore[no-untyped-call]
        for row in labelled
    )

    assert len(scaffolds) >= 250
    assert max(scaffolds.values()) <= LARGEST_SHARE * len(labelled)


def test_the_gap_lies_between_the_frontier_orbitals(labelled: list[dict[str, str]]) -> None:
    for row in labelled:
        homo, lumo, gap, dipole = (float(row[name]) for name in LABELS)
        # Each of the three energies is rounded on its own.
        assert gap == pytest.approx(lumo - homo, abs=1.6e-4), row["id"]
        assert gap > 0, row["id"]
        assert dipole >= 0, row["id"]


def test_the_data_stays_small_enough_to_ship(project_root: Path) -> None:
    assert sum(path.stat().st_size for path in (project_root / "data/demo").iterdir()) <= 1.5e6


def test_growing_again_gives_the_same_molecules(
    make_demo: ModuleType, molecules: list[dict[str, str]]
) -> None:
    assert make_demo.demo_molecules() == [(row["id"], row["smiles"]) for row in molecules]


def test_labelling_again_gives_the_same_values(make_demo: ModuleType, labelled: list[dict[str, str]]) -> None:
    pytest.importorskip("tblite", reason="GFN2-xTB needs tblite, which is in the dev extra")
    for row in random.Random(0).sample(labelled, 5):
        again = make_demo.label(row["smiles"])
        for name in LABELS:
            assert getattr(again, name) == pytest.approx(float(row[name]), abs=1e-3), (row["id"], name)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("benzene,C6H6,c1ccccn1", "row 2 (benzene): SMILES is C5H5N, not C6H6"),
        ("benzene,C6H6,c1cccc1(", "row 2 (benzene): SMILES is no molecule, not C6H6"),
        ("ethyl_alcohol,C2H6O,OCC", "row 2 (ethyl_alcohol) is the same molecule as ethanol"),
    ],
)
def test_a_typo_among_the_known_molecules_is_found(
    make_demo: ModuleType, tmp_path: Path, line: str, complaint: str
) -> None:
    path = tmp_path / "known.csv"
    path.write_text(f"id,formula,smiles\nethanol,C2H6O,CCO\n{line}\n", encoding="utf-8")

    with pytest.raises(ValueError, match="row 2") as refusal:
        make_demo.read_known_molecules(path)

    assert complaint in str(refusal.value)
