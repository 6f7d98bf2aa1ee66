"""Whether a probability means what it says."""

import numpy as np

from unimol2_tasks.evaluation.binning import bin_means, equal_mass_bins
from unimol2_tasks.evaluation.labels import FloatArray, IntArray

_BINS = 10


def reliability(probability: FloatArray, hit: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """The points of a reliability diagram in ten equally filled bins.

    Args:
        probability: [n] what was promised.
        hit: [n] 1 where it came true, else 0.

    Returns:
        Mean probability, share that came true, and molecules per bin, each [bins], bins ≤ 10.
    """
    member = equal_mass_bins(probability, _BINS)
    return bin_means(probability, member), bin_means(hit, member), np.bincount(member)


def calibration_error(probability: FloatArray, hit: FloatArray) -> float:
    """Expected calibration error: Σ (molecules in the bin / n) · |mean probability - share that came true|.

    With equally filled bins, which do not depend on where the probabilities crowd: Nguyen and O'Connor,
    "Posterior calibration and exploratory analysis" (EMNLP 2015). A perfect model of few molecules has an
    error above 0 too: with probability p everywhere about sqrt(2 / π) · sqrt(10 · p(1 - p) / n).

    Args:
        probability: [n], at least one.
        hit: [n] 1 where it came true, else 0.
    """
    promised, came_true, count = reliability(probability, hit)
    return float(np.sum(count * np.abs(promised - came_true)) / len(probability))


def top_class(label: IntArray, probability: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The confidence in the most probable class, [n], and whether it is the right one.

    That is what calibration of several classes is measured by: Guo et al., "On calibration of modern neural
    networks" (2017).
    """
    return probability.max(axis=1), (probability.argmax(axis=1) == label).astype(np.float64)
