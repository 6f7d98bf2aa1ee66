"""The figures of a dataset's page: sizes, elements, scaffolds, conformers and labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from unimol2_tasks.evaluation.charts import ACCENT, SERIES, Chart, LegendEntry, axes, chart, standalone
from unimol2_tasks.evaluation.scoretable import number

_MOST_ELEMENTS = 14
_BAR = 0.92
"""Width of a bar, of its place."""
_MOST_GAPS = 60
_MARKERS = "os^Dv*"
_MOST_DECADES = 3
"""Above it an axis has a label per power of ten, below it also at twice and five times that."""


def scaffold_figure(counts: Mapping[str, NDArray[np.int64]], top: int = 40) -> str:
    """The most frequent scaffolds of one or more sets, as an SVG file of its own.

    Args:
        counts: Molecules per scaffold, in any order, by the name of the set; at most six sets.
        top: How many scaffolds of each set are shown, the most frequent first.

    Returns:
        Frequency against rank, on a logarithmic axis (Uni-Mol2, figure on the data's scaffolds).

    Raises:
        ValueError: There is no set, more than six, or a set without scaffolds.
    """
    return standalone(_scaffold_chart(counts, top))


def scaffold_chart(name: str, counts: Sequence[int], molecules: int) -> Chart:
    """The most frequent scaffolds of one set of `molecules`, for its page."""
    ranked = np.asarray(counts, np.int64)
    share = int(ranked.sum()) / molecules
    caption = f"The {len(ranked)} most frequent scaffolds hold {share:.1%} of the molecules."
    return _scaffold_chart({name: ranked}, len(ranked), caption=caption)


def size_chart(heavy_atoms: Mapping[str, int]) -> Chart:
    """Molecules by their number of heavy atoms."""
    sizes, counts = _numbers(heavy_atoms)
    mean = float(np.average(sizes, weights=counts))
    caption = f"From {sizes[0]} to {sizes[-1]} heavy atoms; on average {number(mean)}."
    return _bars("Sizes", sizes, counts, "heavy atoms", caption)


def conformer_chart(conformers: Mapping[str, int]) -> Chart:
    """Molecules by their number of conformers."""
    held, counts = _numbers(conformers)
    total = int(held @ counts)
    caption = f"{total:,} conformers, {number(total / counts.sum())} a molecule."
    return _bars("Conformers", held, counts, "conformers per molecule", caption)


def element_chart(molecules_with: Mapping[str, int], molecules: int) -> Chart:
    """Molecules that hold each element, the most frequent elements first."""
    ordered = sorted(molecules_with.items(), key=lambda item: -item[1])
    shown = ordered[:_MOST_ELEMENTS]
    left_out = [symbol for symbol, _ in ordered[_MOST_ELEMENTS:]]
    caption = f"Of {molecules:,} molecules, on a logarithmic axis."
    if left_out:
        caption += f" Rarer, not shown: {', '.join(left_out)}."
    with axes() as ax:
        ax.bar([symbol for symbol, _ in shown], [count for _, count in shown], color=ACCENT, alpha=0.8)
        ax.grid(visible=False, axis="x")
        _logarithmic(ax, min(count for _, count in shown))
        ax.set(xlabel="element", ylabel="molecules with it")
        return chart(ax, "Elements", caption)


def histogram_chart(
    title: str, histogram: Mapping[str, Sequence[float]], x_label: str, y_label: str, caption: str = ""
) -> Chart:
    """A histogram that was counted before: `edges` [bins + 1] and `counts` [bins]."""
    edges = np.asarray(histogram["edges"], np.float64)
    widths = np.diff(edges)
    with axes() as ax:
        ax.bar(edges[:-1] + widths / 2, histogram["counts"], width=_BAR * widths, color=ACCENT, alpha=0.8)
        ax.grid(visible=False, axis="x")
        if (edges % 1 == 0.5).all():  # a bin per whole number
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _count_axis(ax.yaxis)
        ax.set(xlabel=x_label, ylabel=y_label)
        return chart(ax, title, caption)


def label_chart(label: Mapping[str, Any]) -> Chart:
    """The values of one label."""
    lower, upper = label["quartiles"]
    caption = f"Half of the values lie between {number(lower)} and {number(upper)}." if lower < upper else ""
    return histogram_chart("Values", label["histogram"], "value", "molecules", caption)


def _scaffold_chart(counts: Mapping[str, NDArray[np.int64]], top: int, caption: str = "") -> Chart:
    if not 1 <= len(counts) <= len(SERIES):
        raise ValueError(f"{len(counts)} sets of scaffolds; one figure shows 1 to {len(SERIES)}")
    lowest = min(_ranked(name, values, top)[-1] for name, values in counts.items())
    with axes() as ax:
        for place, (name, values) in enumerate(counts.items()):
            ranked = _ranked(name, values, top)
            ranks = np.arange(1, len(ranked) + 1)
            if len(counts) == 1:
                ax.bar(ranks, ranked, color=ACCENT, alpha=0.8)
            else:
                lines = ax.plot(ranks, ranked, color=SERIES[place], linewidth=1.2)
                lines[0].set(marker=_MARKERS[place], markersize=3.5)
        ax.grid(visible=False, axis="x")
        _logarithmic(ax, int(lowest))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="scaffold, by frequency", ylabel="molecules")
        legend = tuple(LegendEntry(name, f"series-{place}") for place, name in enumerate(counts, start=1))
        return chart(ax, "Most frequent scaffolds", caption, legend)


def _ranked(name: str, counts: NDArray[np.int64], top: int) -> NDArray[np.int64]:
    positive = counts[counts > 0]
    if not len(positive):
        raise ValueError(f"{name}: no scaffolds to draw")
    return np.sort(positive)[::-1][:top]


def _numbers(counts: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.array([int(value) for value in counts], np.int64), np.array([*counts.values()], np.int64)


def _bars(title: str, x: npt.ArrayLike, counts: npt.ArrayLike, x_label: str, caption: str) -> Chart:
    with axes() as ax:
        # Gaps between hundreds of bars would hide the bars.
        ax.bar(x, counts, width=_BAR if np.ptp(x) < _MOST_GAPS else 1.0, color=ACCENT, alpha=0.8)
        ax.grid(visible=False, axis="x")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _count_axis(ax.yaxis)
        ax.set(xlabel=x_label, ylabel="molecules")
        return chart(ax, title, caption)


def _count_axis(axis: Axis) -> None:
    axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _logarithmic(ax: Axes, lowest: int) -> None:
    decades = np.log10(ax.dataLim.ymax / lowest)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < _MOST_DECADES else (1,)))
    # Bars of a single molecule would have no height on an axis that begins at 1.
    ax.set_ylim(bottom=0.6 * lowest)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
