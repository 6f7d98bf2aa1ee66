"""Real molecules in three dimensions, as pretraining shows them to the network."""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem, rdDistGeom

from unimol2_model import Molecule
from unimol2_tasks.chemistry.features import featurize

POOL_SIZE = 40
# Places in the pool that a test must not leave to chance.
SINGLE_ATOM = 0
PEPTIDE = 1
# 200 heavy atoms; every natural amino acid.
_PEPTIDE_SEQUENCE = "ACDEFGHIKLMNPQRSTVWYWFV"
_ROOT = Path(__file__).parents[3]


@cache
def real_molecules() -> tuple[Molecule, ...]:
    """A single atom, 200 atoms, and small and drug-like molecules; corrupted, with targets."""
    molecules = [_embedded("C"), _drawn_peptide(), *(_embedded(smiles) for smiles in _smiles())]
    return tuple(_corrupted(molecule, seed) for seed, molecule in enumerate(molecules))


def _smiles() -> list[str]:
    small = (_ROOT / "tests" / "molecules.smi").read_text(encoding="utf-8").split()
    with (_ROOT / "data" / "demo" / "molecules.csv").open(encoding="utf-8", newline="") as stream:
        drugs = [row["smiles"] for row in csv.DictReader(stream)]
    return [*small[::2], *drugs][: POOL_SIZE - 2]


def _embedded(smiles: str) -> Molecule:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0, smiles
    return featurize(mol)


def _drawn_peptide() -> Molecule:
    # Embedding 200 atoms takes twenty seconds.
    mol = Chem.MolFromSequence(_PEPTIDE_SEQUENCE)
    AllChem.Compute2DCoords(mol)
    return featurize(mol)


def _corrupted(molecule: Molecule, seed: int) -> Molecule:
    rng = np.random.default_rng(seed)
    masked = rng.random(molecule.atoms) < 0.15
    masked[rng.integers(molecule.atoms)] = True
    noise = rng.uniform(-1, 1, (molecule.atoms, 3))
    centred = molecule.positions - molecule.positions.mean(axis=0)
    return replace(
        molecule,
        tokens=np.where(masked, 127, molecule.tokens),
        positions=(centred + noise).astype(np.float32),
        target_tokens=np.where(masked, molecule.tokens, 0),
        target_positions=centred,
    )
