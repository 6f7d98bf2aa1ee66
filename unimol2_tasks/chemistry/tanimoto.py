"""Tanimoto similarities between many fingerprints, block by block."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.chemistry.fingerprints import SparseFingerprints

BLOCK = 1024
"""Fingerprints that are expanded to dense at a time: 4 MiB."""
_CHUNK = 8192
"""Fingerprints that a block is compared with at a time: 32 MiB of similarities. A multiple of 8."""


def tanimoto(sparse: SparseFingerprints, block: SparseFingerprints) -> NDArray[np.float32]:
    """Similarities between all pairs, [rows of `sparse`, rows of `block`].

    A sparse by dense product counts the common bits: some hundred million pairs per second and core, where
    RDKit's `BulkTanimotoSimilarity` compares five million.

    Args:
        sparse: At least one bit each.
        block: A few; expanded to dense.
    """
    common = np.asarray(sparse @ np.ascontiguousarray(block.toarray().T), np.float32)
    either = np.add.outer(_bits(sparse), _bits(block)) - common
    return np.divide(common, either, out=common)


def nearest_similarities(queries: SparseFingerprints, references: SparseFingerprints) -> NDArray[np.float32]:
    """The similarity of every query to the reference that is nearest to it, [queries]."""
    return nearest(queries, references)[0]


def nearest(
    queries: SparseFingerprints, references: SparseFingerprints
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The reference that is nearest to every query: its similarity and its place, [queries] each.

    Of several that are equally near it is the first.
    """
    similarities = np.full(queries.shape[0], -1, np.float32)
    places = np.zeros(queries.shape[0], np.int64)
    for rows in slices(queries.shape[0], BLOCK):
        block = queries[rows]
        for chunk in chunks(references.shape[0]):
            found = tanimoto(references[chunk], block)
            best = found.max(0)
            # An argmax over columns takes three times as long as the similarities themselves.
            among, columns = np.nonzero(found == best)
            first = np.empty(len(best), np.int64)
            first[columns[::-1]] = among[::-1]
            nearer = best > similarities[rows]
            places[rows][nearer] = chunk.start + first[nearer]
            similarities[rows][nearer] = best[nearer]
    return similarities, places


def chunks(count: int) -> Iterator[slice]:
    """Slices of what a block is compared with; they start at multiples of 8."""
    return slices(count, _CHUNK)


def slices(count: int, size: int) -> Iterator[slice]:
    """The range from 0 to `count` in pieces."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _bits(fingerprints: SparseFingerprints) -> NDArray[np.float32]:
    return np.diff(fingerprints.indptr).astype(np.float32)
