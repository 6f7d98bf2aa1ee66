"""Corruption for pretraining: masking, coordinate noise, feature dropping, Kabsch alignment.

Every choice is drawn from a generator seeded by (seed, epoch, index), so a sample is the same whenever,
wherever and in whatever company it is drawn.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unimol2_model.molecule import Molecule
from unimol2_tasks.datasets.order import Visit
from unimol2_tasks.datasets.shards import MoleculeRecord
from unimol2_tasks.params import PretrainParams

MASK_TOKEN = 127
# What hides a feature (released code): index 1 of every table, and the longest path but one.
HIDDEN_FEATURE = 1
HIDDEN_PATH = 511


def corrupt(record: MoleculeRecord, params: PretrainParams, visit: Visit) -> Molecule:
    """The pretraining sample of one visit.

    Args:
        record: The stored molecule with K conformers and its 2D drawing.
        params: Shares and scales of the corruption.
        visit: Epoch and index, which seed everything here.

    Returns:
        Corrupted tokens, features and positions `[n, 3]` (Å, centred, aligned), and the clean
        `target_tokens` (0 where not masked) and `target_positions`.
    """
    rng = np.random.default_rng([params.seed, visit.epoch, visit.index])
    hidden = rng.random() < params.feature_drop
    flat = not hidden and rng.random() < params.flat_probability
    clean = record.molecule(conformer=int(rng.integers(record.conformers)), flat=flat)
    target = clean.positions - clean.positions.mean(axis=0)
    masked = _choose(len(clean.tokens), params.mask_probability, rng)
    noised = target + _noise(target.shape, masked, params, rng)
    sample = replace(
        clean,
        tokens=np.where(masked, MASK_TOKEN, clean.tokens),
        target_tokens=np.where(masked, clean.tokens, 0),
        positions=align(noised, target).astype(np.float32),
        target_positions=target.astype(np.float32),
    )
    return hide_features(sample) if hidden else sample


def hide_features(molecule: Molecule) -> Molecule:
    """Replace all graph features by a constant (released code: atom, bond, degree 1; path 511)."""
    return replace(
        molecule,
        atom_features=np.full_like(molecule.atom_features, HIDDEN_FEATURE),
        bond_features=np.full_like(molecule.bond_features, HIDDEN_FEATURE),
        degrees=np.full_like(molecule.degrees, HIDDEN_FEATURE),
        path_lengths=np.full_like(molecule.path_lengths, HIDDEN_PATH),
    )


def align(moving: NDArray[np.floating], fixed: NDArray[np.floating]) -> NDArray[np.float64]:
    """`moving` `[n, 3]` after the rigid motion that brings it closest to `fixed` (Kabsch, 1976)."""
    centre, target = moving.mean(axis=0), fixed.mean(axis=0)
    centred = (moving - centre).astype(np.float64)
    u, _, vt = np.linalg.svd(centred.T @ (fixed - target).astype(np.float64))
    # A reflection would turn the molecule into its mirror image.
    handedness = np.sign(np.linalg.det(u @ vt)) or 1.0
    rotation = u @ np.diag([1.0, 1.0, handedness]) @ vt
    aligned: NDArray[np.float64] = centred @ rotation + target
    return aligned


def _choose(count: int, probability: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mask a share of the atoms: rounded at random so that the mean is exact, at least one."""
    chosen = max(1, int(probability * count + rng.random()))
    masked = np.zeros(count, dtype=np.bool_)
    masked[rng.permutation(count)[:chosen]] = True
    return masked


def _noise(
    shape: tuple[int, ...], masked: NDArray[np.bool_], params: PretrainParams, rng: np.random.Generator
) -> NDArray[np.float64]:
    if params.noise == "gaussian":
        return rng.normal(0.0, params.noise_scale, shape)
    return rng.uniform(-params.noise_scale, params.noise_scale, shape) * masked[:, None]
