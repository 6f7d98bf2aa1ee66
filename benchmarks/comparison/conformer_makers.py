"""One conformer after the other, timed: ours, a bare RDKit loop, and unimol_tools in its own environment."""

import csv
import gzip
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from benchmarks.comparison.environment import peer_python
from unimol2_tasks.chemistry.conformers import (
    ATTEMPTS,
    FORCE_TOLERANCE,
    MAX_ITERATIONS,
    conformer_seed,
)
from unimol2_tasks.chemistry.preparation import Identity, build_molecule, prepare_molecule
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.params import PrepareParams

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "unlabelled" / "druglike_smiles.csv.gz"
EMBEDDED = ROOT / "data" / "demo" / "molecules.csv"
PEER_FOLDER = ROOT / "benchmarks" / "peers" / "unimol_tools"
# `max_atoms` of UniMolV2Feature, which cuts larger molecules into pieces.
PEER_ATOMS = 128

Made = tuple[float, str | None]
"""CPU seconds, and why there is no conformer; None where there is."""


def sample(count: int) -> list[str]:
    """SMILES of `count` random molecules that neither side refuses for their size, the same each time."""
    table = SHARED if SHARED.is_file() else EMBEDDED
    read = gzip.open if table.suffix == ".gz" else open
    with read(table, "rt", encoding="utf-8", newline="") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    random.Random(0).shuffle(smiles)
    with rdBase.BlockLogs():
        molecules = ((text, Chem.MolFromSmiles(text)) for text in smiles)
        fitting = (text for text, mol in molecules if mol and mol.GetNumHeavyAtoms() <= PEER_ATOMS)
        return [text for text, _ in zip(fitting, range(count), strict=False)]


def build(identity: Identity, params: PrepareParams) -> Made:
    return timed(lambda: build_molecule(identity, params))


def prepare(smiles: str, params: PrepareParams) -> Made:
    return timed(lambda: prepare_molecule(smiles, params))


def bare_loop(identity: Identity, params: PrepareParams) -> Made:
    return timed(lambda: embed_and_relax(identity, params))


def timed(make: Callable[[], object]) -> Made:
    """The CPU seconds of a call, and its rejection."""
    start = time.process_time()
    try:
        make()
    except Rejected as rejection:
        return time.process_time() - start, str(rejection)
    return time.process_time() - start, None


def embed_and_relax(identity: Identity, params: PrepareParams) -> None:
    """What RDKit's documentation shows, with our settings.

    Raises:
        Rejected: no conformer was embedded.
    """
    mol = Chem.AddHs(Chem.MolFromSmiles(identity.smiles))
    options: Any = rdDistGeom.ETKDGv3()
    options.randomSeed = conformer_seed(params.seed, identity.inchikey)
    options.optimizerForceTol = FORCE_TOLERANCE
    options.maxIterations = ATTEMPTS
    if not rdDistGeom.EmbedMultipleConfs(mol, params.conformers, options):
        raise Rejected("conformers", "not embedded")
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
            mol, mmffVariant="MMFF94s", maxIters=MAX_ITERATIONS, ignoreInterfragInteractions=False
        )
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.UFFOptimizeMoleculeConfs(
            mol, maxIters=MAX_ITERATIONS, ignoreInterfragInteractions=False
        )
    Chem.RemoveHs(mol)


@contextmanager
def peer() -> Iterator[Callable[[list[str]], list[Made]]]:
    """Start unimol_tools; what is yielded sends it a block of SMILES."""
    command = [str(peer_python(PEER_FOLDER)), "-m", "benchmarks.peers.unimol_tools.conformers"]
    settings = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with (
            log.open("w", encoding="utf-8") as errors,
            subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **settings},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):

            def ask(block: list[str]) -> list[Made]:
                print(json.dumps(block), file=process.stdin, flush=True)
                answer = next(iter(process.stdout or ()), "")
                if not answer:
                    raise SystemExit(f"unimol_tools ended: {log.read_text(encoding='utf-8')[-2000:]}")
                return [(seconds, failure) for seconds, failure in json.loads(answer)]

            yield ask
