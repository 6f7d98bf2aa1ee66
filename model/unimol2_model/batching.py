"""Which molecules share a forward pass, and how far they are padded.

Memory and time of a pass go with its padded pairs of places, B·(n + 1)², where the 1 is the molecule token.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

AtomCounts = Sequence[int] | npt.NDArray[np.integer[Any]]


def batch_by_pairs(
    atoms: AtomCounts, budget: int, *, buckets: Sequence[int] | None = None
) -> list[list[int]]:
    """Cut molecules, from small to large, into batches of at most `budget` padded pairs.

    Args:
        atoms: heavy atoms of each molecule.
        budget: the largest B·(n + 1)² of a batch of B molecules padded to n atoms; a molecule that exceeds it
            is a batch of its own.
        buckets: the padded sizes that there are, in atoms; default: that of the batch's largest molecule.

    Returns:
        Every index into `atoms` once; those of equal sizes keep their order.

    Raises:
        ValueError: `budget` or a size is less than 1, or a molecule is larger than the largest bucket.
    """
    if budget < 1:
        raise ValueError(f"budget: expected at least 1 pair, got {budget}")
    sizes = np.asarray(atoms)
    order = np.argsort(sizes, kind="stable")
    pairs = (padded_atoms(sizes, buckets)[order].astype(np.int64) + 1) ** 2
    batches: list[list[int]] = []
    for index, largest in zip(order.tolist(), pairs.tolist(), strict=True):
        if batches and (len(batches[-1]) + 1) * largest <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def padded_atoms(atoms: AtomCounts, buckets: Sequence[int] | None) -> npt.NDArray[np.integer[Any]]:
    """The smallest bucket that holds each molecule; without buckets, its own size.

    Raises:
        ValueError: a size is less than 1, or a molecule is larger than the largest bucket.
    """
    sizes = np.asarray(atoms, dtype=np.int64)
    if (sizes < 1).any():
        index = int(np.argmax(sizes < 1))
        raise ValueError(f"atoms: molecule {index} has {sizes[index]}; a molecule needs at least one")
    if buckets is None:
        return sizes
    ascending = np.unique(np.asarray(buckets, dtype=np.int64))
    if not len(ascending) or ascending[0] < 1:
        raise ValueError(f"buckets: expected sizes of at least 1 atom, got {list(buckets)}")
    if (sizes > ascending[-1]).any():
        index = int(np.argmax(sizes > ascending[-1]))
        raise ValueError(
            f"molecule {index} has {sizes[index]} atoms, the limit is {ascending[-1]}, the largest of the "
            "buckets; leave the molecule out or add a larger bucket"
        )
    return ascending[np.searchsorted(ascending, sizes)]
