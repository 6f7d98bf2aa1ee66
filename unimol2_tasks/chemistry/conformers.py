"""Three-dimensional conformers and the two-dimensional drawing of a molecule."""

import hashlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor, rdDistGeom, rdForceFieldHelpers

from unimol2_tasks.chemistry.rejection import Rejected

ConformerMethod = Literal["etkdg+mmff94s", "etkdg+uff", "etkdg"]

_MAX_ITERATIONS = 1000


def conformer_seed(seed: int, inchikey: str) -> int:
    """A seed that depends on the molecule, not on its row or on who computes it; 31 bits."""
    digest = hashlib.sha256(f"{seed}:{inchikey}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFF_FFFF


def embed_conformers(mol: Chem.Mol, count: int, seed: int) -> tuple[Chem.Mol, ConformerMethod]:
    """Embed conformers by ETKDGv3 and relax them by MMFF94s, or UFF where MMFF lacks parameters.

    Hydrogens take part in embedding and relaxation and are removed afterwards. Where neither force
    field knows an element, the embedded structure stays as it is; the method says so.

    Args:
        mol: Without conformers; the heavy atoms keep their order.
        count: Conformers wanted; a molecule that yields some of them keeps those.
        seed: 0 to 2**31 - 1.

    Returns:
        A molecule of heavy atoms with at least one conformer (Å), and how they were made.

    Raises:
        Rejected: No conformer could be embedded.
    """
    with rdBase.BlockLogs():
        try:
            full = Chem.AddHs(mol)
            _embed(full, count, seed)
            method = _relax(full)
            heavy = Chem.RemoveAllHs(full)
        except (ValueError, RuntimeError) as error:
            raise Rejected("conformers", f"RDKit failed: {str(error).strip().splitlines()[0]}") from None
    if not np.isfinite(conformer_positions(heavy)).all():
        raise Rejected("conformers", f"{method} gave coordinates that are not finite")
    return heavy, method


def conformer_positions(mol: Chem.Mol) -> NDArray[np.float32]:
    """Coordinates of all conformers in Å, [K, n, 3]."""
    return np.stack([conformer.GetPositions() for conformer in mol.GetConformers()]).astype(np.float32)


def drawing_positions(mol: Chem.Mol) -> NDArray[np.float32]:
    """Coordinates of RDKit's two-dimensional drawing, [n, 2], with bonds of 1.5 Å.

    Raises:
        Rejected: RDKit cannot lay the molecule out.
    """
    drawn = Chem.Mol(mol)
    try:
        rdDepictor.Compute2DCoords(drawn, canonOrient=True)
    except (ValueError, RuntimeError) as error:
        raise Rejected("conformers", f"no drawing: {str(error).strip().splitlines()[0]}") from None
    return np.asarray(drawn.GetConformer().GetPositions()[:, :2], np.float32)


def _embed(mol: Chem.Mol, count: int, seed: int) -> None:
    several_fragments = len(Chem.GetMolFrags(mol)) > 1
    options: Any = rdDistGeom.ETKDGv3()
    options.randomSeed = seed
    options.numThreads = 1
    # Embedded one by one, fragments lie on top of each other; together they need random coordinates.
    options.embedFragmentsSeparately = not several_fragments
    options.useRandomCoords = several_fragments
    if len(rdDistGeom.EmbedMultipleConfs(mol, count, options)) == count:
        return
    options.useRandomCoords = True
    options.embedFragmentsSeparately = True
    if not rdDistGeom.EmbedMultipleConfs(mol, count, options):
        raise Rejected(
            "conformers", "no structure satisfies the distance bounds, random coordinates included"
        )


def _relax(mol: Chem.Mol) -> ConformerMethod:
    options: dict[str, Any] = {
        "numThreads": 1,
        "maxIters": _MAX_ITERATIONS,
        "ignoreInterfragInteractions": False,
    }
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, mmffVariant="MMFF94s", **options)
        return "etkdg+mmff94s"
    if rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.UFFOptimizeMoleculeConfs(mol, **options)
        return "etkdg+uff"
    return "etkdg"
