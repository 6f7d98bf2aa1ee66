"""Real molecules of the size of drugs, with one conformer each, from the embedded table."""

import csv
import random
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import cycle, islice
from pathlib import Path

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from benchmarks.comparison.molecule_sets import Arrays
from unimol2_model import Molecule
from unimol2_tasks.chemistry.conformers import embed_conformers
from unimol2_tasks.chemistry.features import featurize

TABLE = Path(__file__).parents[2] / "data" / "demo" / "molecules.csv"
# Rows made by rules, all small; the others are drugs, natural products and metabolites under their names.
_MADE_BY_RULES = "grown-"
_DALTON = (150.0, 600.0)
_LEAST_ATOMS = 10


def drug_like_molecules(table: Path = TABLE) -> list[Chem.Mol]:
    """The named molecules of 150 to 600 Da and at least 10 heavy atoms, shuffled, the same each time."""
    with table.open(newline="", encoding="utf-8") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file) if not row["id"].startswith(_MADE_BY_RULES)]
    chosen = [mol for mol in map(Chem.MolFromSmiles, smiles) if _is_drug_like(mol)]
    random.Random(0).shuffle(chosen)
    return chosen


def _is_drug_like(mol: Chem.Mol) -> bool:
    lightest, heaviest = _DALTON
    return (
        mol.GetNumHeavyAtoms() >= _LEAST_ATOMS
        and lightest <= rdMolDescriptors.CalcExactMolWt(mol) <= heaviest
    )


def mixed_set(molecules: Sequence[Chem.Mol], count: int) -> list[Arrays]:
    """The first `count`, in an order that has nothing to do with their sizes.

    Raises:
        ValueError: there are fewer.
    """
    if count > len(molecules):
        raise ValueError(f"{count} molecules of different sizes asked for; {TABLE} has {len(molecules)}")
    return _featurised(molecules[:count])


def uniform_set(molecules: Iterable[Chem.Mol], atoms: int, count: int) -> list[Arrays]:
    """`count` molecules of one size, in turns where there are fewer.

    Raises:
        ValueError: there is none of that size.
    """
    sized = [mol for mol in molecules if mol.GetNumHeavyAtoms() == atoms]
    if not sized:
        raise ValueError(f"no molecule of {atoms} heavy atoms in {TABLE}")
    return list(islice(cycle(_featurised(sized[:count])), count))


def _featurised(molecules: Iterable[Chem.Mol]) -> list[Arrays]:
    return [_arrays(embed_conformers(mol, 1, 0).mol) for mol in molecules]


def _arrays(embedded: Chem.Mol) -> Arrays:
    molecule = featurize(embedded, embedded.GetConformer().GetId())
    named = {field.name: getattr(molecule, field.name) for field in fields(Molecule)}
    return {name: array for name, array in named.items() if array is not None}
