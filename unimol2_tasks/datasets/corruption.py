"""Corruption for pretraining: masking, coordinate noise, feature dropping, Kabsch alignment.

Every choice is drawn from a generator seeded by (seed, epoch, index), so a sample is the same whenever,
wherever and in whatever company it is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unimol2_model.molecule import BOND_FEATURES, Molecule
from unimol2_tasks.chemistry.features import GraphFeatures
from unimol2_tasks.datasets.order import Visit
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.params import PretrainParams

MASK_TOKEN = 127
# What hides a feature (released code): index 1 of every table, and the longest path but one.
_HIDDEN_FEATURE = 1
_HIDDEN_PATH = 511


def corrupt(
    records: Sequence[MoleculeRecord], params: PretrainParams, visits: Sequence[Visit]
) -> list[Molecule]:
    """The pretraining samples of some visits; each is what it would be alone.

    Args:
        records: The stored molecule of each visit, with K conformers and its 2D drawing.
        params: Shares and scales of the corruption.
        visits: Epoch and index, which seed everything here.

    Returns:
        Corrupted tokens, features and positions `[n, 3]` (Å, centred, aligned), and the clean
        `target_tokens` (0 where not masked) and `target_positions`.
    """
    drafts = [_draft(record, params, visit) for record, visit in zip(records, visits, strict=True)]
    aligned = align([draft.noised for draft in drafts], [draft.target for draft in drafts])
    return [
        Molecule(**draft.graph, positions=positions.astype(np.float32), target_positions=draft.target)
        for draft, positions in zip(drafts, aligned, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A sample before its alignment."""

    graph: dict[str, NDArray[np.integer[Any]]]
    """The fields of a `Molecule` that hold no coordinates."""
    noised: NDArray[np.float64]
    target: NDArray[np.float32]


def _draft(record: MoleculeRecord, params: PretrainParams, visit: Visit) -> _Draft:
    rng = np.random.default_rng([params.seed, visit.epoch, visit.index])
    hidden = rng.random() < params.feature_drop
    flat = not hidden and rng.random() < params.flat_probability
    # Drawn either way, so that masks and noise do not depend on this choice.
    drawn = int(rng.integers(record.conformers))
    positions = record.coordinates(drawn if params.conformer == "random" else 0, flat)
    target = positions - _centre(positions)
    masked = _choose(len(positions), params.mask_probability, rng)
    noised = target + _noise(target.shape, masked, params, rng)
    graph = hidden_features(record.graph) if hidden else record.graph.arrays()
    graph["tokens"] = np.where(masked, MASK_TOKEN, record.tokens)
    graph["target_tokens"] = np.where(masked, record.tokens, 0)
    return _Draft(graph, noised, target)


def hidden_features(graph: GraphFeatures) -> dict[str, NDArray[np.integer[Any]]]:
    """The arrays of a graph, but its tokens, whose features are replaced by constants (released code)."""
    n = len(graph.tokens)
    return {
        "atom_features": np.full(graph.atom_features.shape, _HIDDEN_FEATURE, np.uint8),
        "degrees": np.full(n, _HIDDEN_FEATURE, np.uint8),
        "bond_features": np.full((n, n, BOND_FEATURES), _HIDDEN_FEATURE, np.uint8),
        "path_lengths": np.full((n, n), _HIDDEN_PATH, np.uint16),
        "pair_types": graph.pair_types(),
    }


def align(
    moving: Sequence[NDArray[np.floating]], fixed: Sequence[NDArray[np.floating]]
) -> list[NDArray[np.float64]]:
    """Each of `moving` `[n, 3]` after the rigid motion that brings it closest to its `fixed` (Kabsch, 1976).

    Many are aligned at once, because to call the decomposition takes several times as long as it itself.
    """
    centres = [_centre(positions) for positions in fixed]
    centred = [(positions - _centre(positions)).astype(np.float64) for positions in moving]
    products = [
        one.T @ (positions - centre).astype(np.float64)
        for one, positions, centre in zip(centred, fixed, centres, strict=True)
    ]
    u, _, vt = np.linalg.svd(np.stack(products))
    # A reflection would turn the molecule into its mirror image.
    u[np.linalg.det(u @ vt) < 0, :, 2] *= -1
    return [one @ rotation + centre for one, rotation, centre in zip(centred, u @ vt, centres, strict=True)]


def _centre(positions: NDArray[np.floating]) -> NDArray[np.floating]:
    # numpy's mean, without what it does to find out the types: that takes longer than the sum.
    centre: NDArray[np.floating] = np.add.reduce(positions) / len(positions)
    return centre


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
