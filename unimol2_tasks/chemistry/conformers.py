"""Three-dimensional conformers and the two-dimensional drawing of a molecule."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor, rdDistGeom, rdForceFieldHelpers, rdMolAlign

from unimol2_tasks.chemistry.rdkit_messages import first_message, rejecting
from unimol2_tasks.chemistry.rejection import Rejected

ConformerMethod = Literal["etkdg+mmff94s", "etkdg+uff", "etkdg", "given"]

MAX_ITERATIONS = 200
"""Of the relaxation: RDKit's default."""
FORCE_TOLERANCE = 0.0135
"""Of the minimisations inside the embedding, where a relaxation follows; RDKit's default is 0.001.

Looser, the embedding takes 0.87 of the time; what relaxation makes of both has the same energy (120 drug-like
molecules: 41.7 and 41.9 kcal/mol on average). Strained cages need the default: of 40 small ones that failed
so, 29 had a structure with it.
"""
_DEFAULT_FORCE_TOLERANCE = 0.001
ATTEMPTS = 10
"""At one conformer, before its coordinates start at random.

Where the eigenvectors of the distances fail ten times they nearly always fail; RDKit goes on for ten attempts
per atom, and fails at 3 of 500 drug-like molecules for which random coordinates do not.
"""
_MOST_SYMMETRIES = 128
"""Of a molecule that are tried for one RMSD: two tert-butyl groups have 72, ten of them 60 million."""


@dataclass(frozen=True, slots=True, eq=False)
class Conformers:
    """A molecule of n heavy atoms in space, K times."""

    mol: Chem.Mol
    """With heavy atoms alone."""
    method: ConformerMethod
    positions: NDArray[np.float32]
    """[K, n, 3] in Å."""
    energies: NDArray[np.float32]
    """[K] in kcal/mol, of the force field that `method` names; NaN where none was used."""


def conformer_seed(seed: int, inchikey: str) -> int:
    """A seed that depends on the molecule, not on its row or on who computes it; 31 bits."""
    digest = hashlib.sha256(f"{seed}:{inchikey}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFF_FFFF


def embed_conformers(mol: Chem.Mol, count: int, seed: int, prune_rmsd: float = 0.0) -> Conformers:
    """Embed conformers by ETKDGv3 and relax them by MMFF94s, or UFF where MMFF lacks parameters.

    Hydrogens take part in embedding and relaxation and are removed afterwards. Where neither force
    field knows an element, the embedded structures stay as they are; the method says so. Where embedding
    fails, it is tried once more from random coordinates.

    Args:
        mol: Without conformers; the heavy atoms keep their order.
        count: Conformers wanted; a molecule that yields some of them keeps those.
        seed: 0 to 2**31 - 1.
        prune_rmsd: In Å; of conformers closer than this the one of lower energy stays. RMSD of heavy
            atoms after alignment, over at most 128 of the molecule's symmetries; 0: all stay.

    Returns:
        At least one conformer; those of lower energy first, in the order of embedding without energies.

    Raises:
        Rejected: No conformer could be embedded.
    """
    with rdBase.BlockLogs(), rejecting("conformers"):
        full = Chem.AddHs(mol)
        fields = _ForceFields(full)
        _embed(full, count, seed, relaxed=fields.method != "etkdg")
        energies = fields.relax(full)
        heavy = Chem.RemoveAllHs(full)
    positions = _positions(heavy)
    if not np.isfinite(positions).all():
        raise Rejected("conformers", f"{fields.method} gave coordinates that are not finite")
    kept = np.argsort(energies, kind="stable")
    if prune_rmsd and len(kept) > 1:
        kept = _prune(heavy, kept, prune_rmsd)
    return Conformers(heavy, fields.method, positions[kept], energies[kept].astype(np.float32))


def given_conformers(mol: Chem.Mol, positions: NDArray[np.float32]) -> Conformers:
    """Conformers that somebody else made, as they are.

    Args:
        mol: The molecule, in the order of `positions`.
        positions: [K, n, 3] in Å, of the heavy atoms.
    """
    # The way of embedded molecules, so that the graph's features cannot differ.
    heavy = Chem.RemoveAllHs(Chem.AddHs(mol))
    return Conformers(heavy, "given", positions, np.full(len(positions), np.nan, np.float32))


def drawing_positions(mol: Chem.Mol) -> NDArray[np.float32]:
    """Coordinates of RDKit's two-dimensional drawing, [n, 2], with bonds of 1.5 Å.

    Raises:
        Rejected: RDKit cannot lay the molecule out.
    """
    drawn = Chem.Mol(mol)
    try:
        rdDepictor.Compute2DCoords(drawn, canonOrient=True)
    except (ValueError, RuntimeError) as error:
        raise Rejected("conformers", f"no drawing: {first_message(str(error))}") from None
    return np.asarray(drawn.GetConformer().GetPositions()[:, :2], np.float32)


def _positions(mol: Chem.Mol) -> NDArray[np.float32]:
    return np.stack([conformer.GetPositions() for conformer in mol.GetConformers()]).astype(np.float32)


def _embed(mol: Chem.Mol, count: int, seed: int, relaxed: bool) -> None:
    several_fragments = len(Chem.GetMolFrags(mol)) > 1
    options: Any = rdDistGeom.ETKDGv3()
    options.randomSeed = seed
    options.numThreads = 1
    options.maxIterations = ATTEMPTS
    if relaxed:
        options.optimizerForceTol = FORCE_TOLERANCE
    # Embedded one by one, fragments lie on top of each other; together they need random coordinates.
    options.embedFragmentsSeparately = not several_fragments
    options.useRandomCoords = several_fragments
    rdDistGeom.EmbedMultipleConfs(mol, count, options)
    if mol.GetNumConformers() < count:
        options.maxIterations = 0
        options.useRandomCoords = True
        options.optimizerForceTol = _DEFAULT_FORCE_TOLERANCE
        options.embedFragmentsSeparately = True
        options.clearConfs = False
        rdDistGeom.EmbedMultipleConfs(mol, count - mol.GetNumConformers(), options)
    if not mol.GetNumConformers():
        raise Rejected(
            "conformers", "no structure satisfies the distance bounds, random coordinates included"
        )


class _ForceFields:
    """What relaxes a molecule with hydrogens: MMFF94s, UFF, or nothing."""

    def __init__(self, mol: Chem.Mol) -> None:
        self.method: ConformerMethod = "etkdg"
        self._parameters = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, mmffVariant="MMFF94s")
        if self._parameters is not None:
            self.method = "etkdg+mmff94s"
        elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
            self.method = "etkdg+uff"

    def relax(self, mol: Chem.Mol) -> NDArray[np.float64]:
        """Relax all conformers in place; also their energies in kcal/mol, [K]."""
        if self.method == "etkdg":
            return np.full(mol.GetNumConformers(), np.nan)
        if self.method == "etkdg+mmff94s":
            field = rdForceFieldHelpers.MMFFGetMoleculeForceField(
                mol, self._parameters, ignoreInterfragInteractions=False
            )
        else:
            field = rdForceFieldHelpers.UFFGetMoleculeForceField(mol, ignoreInterfragInteractions=False)
        results = rdForceFieldHelpers.OptimizeMoleculeConfs(mol, field, numThreads=1, maxIters=MAX_ITERATIONS)
        return np.array([energy for _, energy in results])


def _prune(mol: Chem.Mol, ranked: NDArray[np.intp], threshold: float) -> NDArray[np.intp]:
    """Of `ranked` conformers those that are no closer than `threshold` to one before them."""
    best = rdMolAlign.GetAllConformerBestRMS(mol, numThreads=1, maxMatches=_MOST_SYMMETRIES)
    count = len(ranked)
    rmsd = np.zeros((count, count))
    # The routine's order: (1, 0), (2, 0), (2, 1), (3, 0), …
    rmsd[np.tril_indices(count, -1)] = best
    rmsd += rmsd.T
    kept: list[np.intp] = []
    for conformer in ranked:
        if all(rmsd[conformer, other] >= threshold for other in kept):
            kept.append(conformer)
    return np.array(kept)
