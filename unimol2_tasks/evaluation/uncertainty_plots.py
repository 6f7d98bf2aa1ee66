"""Charts that show whether the stated uncertainty is the real one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator
from scipy import stats

from unimol2_tasks.evaluation.charts import ACCENT, INK, TICKS, Chart, axes, chart, with_unit
from unimol2_tasks.evaluation.labels import FloatArray
from unimol2_tasks.evaluation.scoretable import interval_size, number
from unimol2_tasks.evaluation.uncertainty import Coverage, binned_errors

_BINS = 8


def coverage_chart(coverage: Sequence[Coverage], unit: str, logarithmic: bool) -> Chart:
    """Measured over wanted coverage, with the 95 % interval of the measurement."""
    known = [found for found in coverage if np.isfinite(found.halfwidth)]
    level = np.array([found.level for found in known])
    measured = np.array([found.fraction for found in known])
    low, high = np.array([found.interval for found in known]).T
    with axes() as ax:
        ax.plot((0.45, 1), (0.45, 1), color=INK, linewidth=1, linestyle="--")
        ax.fill_between(level, low, high, color=ACCENT, alpha=0.14, linewidth=0)
        ax.plot(level, measured, color=ACCENT, linewidth=1.4)
        ax.scatter(level, measured, s=20, color=ACCENT, linewidths=0, zorder=3)
        ax.set(xlim=(0.45, 1), ylim=(min(0.45, float(low.min()) - 0.02), 1.005))
        ax.set(xlabel="wanted share", ylabel="share inside the interval")
        return chart(ax, "Coverage of the intervals", _coverage_caption(known, unit, logarithmic))


def spread_chart(spread: npt.ArrayLike, error: FloatArray, unit: str, what: str) -> Chart:
    """The error over the ensemble's spread, [n] each: a useful spread is larger where the error is."""
    label = with_unit("spread of the ensemble", unit)
    correlation = _rank_correlation(np.asarray(spread, np.float64), error)
    caption = f"Molecules in {_BINS} equally filled bins with 95 % intervals of the mean. {correlation}"
    return _binned(spread, error, "Error and spread", label, with_unit(what, unit), caption)


def similarity_chart(similarity: npt.ArrayLike, error: FloatArray, unit: str, what: str) -> Chart:
    """The error over the similarity to the nearest training molecule, [n] each."""
    caption = (
        f"Tanimoto similarity of Morgan fingerprints; molecules in {_BINS} equally filled bins with 95 % "
        f"intervals of the mean. {_rank_correlation(np.asarray(similarity, np.float64), error)}"
    )
    label = "similarity to the nearest training molecule"
    return _binned(similarity, error, "Error and similarity", label, with_unit(what, unit), caption)


def _binned(
    score: npt.ArrayLike, error: FloatArray, title: str, x_label: str, y_label: str, caption: str
) -> Chart:
    place, mean, low, high = binned_errors(score, error, _BINS)
    with axes() as ax:
        ax.vlines(place, low, high, color=ACCENT, alpha=0.35, linewidth=4)
        ax.plot(place, mean, color=ACCENT, linewidth=1.2, alpha=0.6)
        ax.scatter(place, mean, s=32, color=ACCENT, linewidths=0, zorder=3)
        ax.set_ylim(bottom=0)
        ax.xaxis.set_major_locator(MaxNLocator(TICKS))
        ax.set(xlabel=x_label, ylabel=y_label)
        return chart(ax, title, caption)


def _coverage_caption(known: Sequence[Coverage], unit: str, logarithmic: bool) -> str:
    at = next((found for found in known if found.level == 0.9), known[-1])
    low, high = at.interval
    wanted, found = f"{100 * at.level:.0f} %", f"{100 * at.fraction:.1f} %"
    return (
        f"Intervals of {interval_size(at.halfwidth, unit, logarithmic)} were to hold {wanted} of the "
        f"molecules; they hold {found} of {at.n:,} ({100 * low:.1f} to {100 * high:.1f} %). "
        "On the dashed line they hold what they promise."
    )


def _rank_correlation(score: FloatArray, error: FloatArray) -> str:
    known = ~np.isnan(error) & ~np.isnan(score)
    if known.sum() < 3 or np.ptp(score[known]) == 0 or np.ptp(error[known]) == 0:
        return ""
    return f"Rank correlation {number(float(stats.spearmanr(score[known], error[known]).statistic))}."
