"""Bins that hold about equally many values."""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from unimol2_tasks.evaluation.labels import FloatArray, IntArray


def equal_mass_bins(values: npt.ArrayLike, bins: int) -> IntArray:
    """Number the quantile bins of `values`, so that a bin's values lie below the next bin's.

    Args:
        values: [n] finite; equal values share a bin, so that the order of the rows does not matter.
        bins: Bins at most; ties leave fewer.

    Returns:
        [n] bin of each value, 0 … (number of bins - 1), none of them empty.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return np.empty(0, np.int64)
    member = (bins * (rankdata(numbers) - 0.5) / len(numbers)).astype(np.int64)
    return np.asarray(np.unique(member, return_inverse=True)[1], np.int64)


def bin_means(values: npt.ArrayLike, member: IntArray) -> FloatArray:
    """[bins] the mean of `values` [n] in every bin of `member`, as `equal_mass_bins` numbers them."""
    return np.bincount(member, np.asarray(values, dtype=np.float64)) / np.bincount(member)
