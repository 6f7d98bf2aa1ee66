"""How well a score puts the positive molecules before the others."""

import numpy as np
import numpy.typing as npt
from scipy import stats

from unimol2_tasks.evaluation.labels import FloatArray

BoolArray = npt.NDArray[np.bool_]


def roc_auc(positive: BoolArray, score: FloatArray) -> float:
    """The probability that a positive molecule has a higher score than a negative one; ties count half.

    It is the area under the ROC curve, from the rank sum of Mann and Whitney.

    Args:
        positive: [n] which molecules are positive; some are and some are not.
        score: [n].
    """
    n = int(positive.sum())
    ranks = stats.rankdata(score)[positive].sum()
    return float((ranks - n * (n + 1) / 2) / (n * (len(positive) - n)))


def average_precision(positive: BoolArray, score: FloatArray) -> float:
    """The area under the precision-recall curve as a sum of steps, Σ (recall gained) · precision.

    Args:
        positive: [n] which molecules are positive, at least one.
        score: [n]; molecules with equal scores enter together.
    """
    order = np.argsort(-score, kind="stable")
    # Where the score falls: only there has everything with an equal score entered.
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    found = np.cumsum(positive[order])[ends]
    return float(np.sum(np.diff(found, prepend=0) * found / (ends + 1)) / found[-1])
