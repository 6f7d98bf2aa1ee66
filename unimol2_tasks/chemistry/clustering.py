"""Clusters of similar fingerprints."""

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.chemistry.fingerprints import SparseFingerprints
from unimol2_tasks.chemistry.tanimoto import BLOCK, chunks, slices, tanimoto

BUTINA_LIMIT = 50_000
"""Fingerprints up to which clusters are Butina's. Who neighbours whom is n² bits: 313 MB."""


def similarity_clusters(
    fingerprints: SparseFingerprints, similarity: float, butina_limit: int = BUTINA_LIMIT
) -> NDArray[np.intp]:
    """The cluster of every fingerprint, from 0.

    Butina's algorithm up to `butina_limit` fingerprints, the leader algorithm above. In both every member is
    at least as similar to its cluster's centre as asked for; members of two clusters may be, too.

    Args:
        fingerprints: At least one bit each; their order decides ties (Butina) or who leads (leader).
        similarity: Tanimoto similarity from which two fingerprints are neighbours.
        butina_limit: See `BUTINA_LIMIT`.
    """
    if fingerprints.shape[0] <= butina_limit:
        return butina_clusters(fingerprints, similarity)
    return leader_clusters(fingerprints, similarity)


def butina_clusters(fingerprints: SparseFingerprints, similarity: float) -> NDArray[np.intp]:
    """Whoever has most neighbours gathers those that are still free, then whoever has next most, and so on.

    The clusters of RDKit's `Butina.ClusterData`, which needs n² floats and as many Python integers as there
    are pairs of neighbours: gigabytes for ten thousand similar molecules.

    Source: Butina, J. Chem. Inf. Comput. Sci. 39, 747 (1999).
    """
    count = fingerprints.shape[0]
    neighbours, numbers = _neighbours(fingerprints, similarity)
    clusters = np.full(count, -1, np.intp)
    found = 0
    for centre in np.argsort(-numbers, kind="stable"):
        if clusters[centre] < 0:
            near = np.unpackbits(neighbours[centre], count=count).view(np.bool_)
            clusters[near & (clusters < 0)] = found
            found += 1
    return clusters


def _neighbours(
    fingerprints: SparseFingerprints, similarity: float
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Who neighbours whom, bits packed by row, and how many neighbours each has; each is its own."""
    count = fingerprints.shape[0]
    packed = np.empty((count, -(-count // 8)), np.uint8)
    numbers = np.zeros(count, np.int64)
    for rows in slices(count, BLOCK):
        block = fingerprints[rows]
        for chunk in chunks(count):
            near = tanimoto(fingerprints[chunk], block) >= similarity
            packed[rows, chunk.start // 8 : -(-chunk.stop // 8)] = np.packbits(near.T, axis=1)
            numbers[rows] += near.sum(0)
    return packed, numbers


def leader_clusters(
    fingerprints: SparseFingerprints, similarity: float, block_size: int = BLOCK
) -> NDArray[np.intp]:
    """One pass: each joins the nearest of the leaders before it, or leads a cluster of its own.

    Memory grows with n; time with n times the number of clusters.

    Source: Hartigan, Clustering Algorithms (Wiley, 1975), chapter 3; there the first similar leader is
    followed, which is not always the most similar one.

    Args:
        fingerprints: Early ones lead.
        similarity: Tanimoto similarity from which a leader is followed.
        block_size: How many are compared with the leaders at once; does not change the result.
    """
    clusters = np.empty(fingerprints.shape[0], np.intp)
    leaders: list[int] = []
    for rows in slices(len(clusters), block_size):
        block = fingerprints[rows]
        best, nearest = _nearest_leaders(fingerprints, leaders, block)
        among = tanimoto(block, block)
        for place in range(len(best)):
            if best[place] < similarity:
                # Itself included, its similarity to itself being 1.
                followers = place + np.flatnonzero(among[place, place:] > best[place:])
                best[followers] = among[place, followers]
                nearest[followers] = len(leaders)
                leaders.append(rows.start + place)
        clusters[rows] = nearest
    return clusters


def _nearest_leaders(
    fingerprints: SparseFingerprints, leaders: list[int], block: SparseFingerprints
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """For every row of the block the similarity to its nearest leader, and which that is."""
    best = np.zeros(block.shape[0], np.float32)
    nearest = np.zeros(block.shape[0], np.intp)
    columns = np.arange(block.shape[0])
    for chunk in chunks(len(leaders)):
        similarities = tanimoto(fingerprints[np.array(leaders[chunk])], block)
        first = similarities.argmax(0)
        better = similarities[first, columns] > best
        best[better] = similarities[first, columns][better]
        nearest[better] = chunk.start + first[better]
    return best, nearest
