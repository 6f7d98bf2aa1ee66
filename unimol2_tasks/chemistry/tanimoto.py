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
    nearest = np.zeros(queries.shape[0], np.float32)
    for rows in slices(queries.shape[0], BLOCK):
        block = queries[rows]
        for chunk in chunks(references.shape[0]):
            np.maximum(nearest[rows], tanimoto(references[chunk], block).max(0), out=nearest[rows])
    return nearest


def chunks(count: int) -> Iterator[slice]:
    """Slices of what a block is compared with; they start at multiples of 8."""
    return slices(count, _CHUNK)


def slices(count: int, size: int) -> Iterator[slice]:
    """The range from 0 to `count` in pieces."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _bits(fingerprints: SparseFingerprints) -> NDArray[np.float32]:
    return np.diff(fingerprints.indptr).astype(np.float32)
