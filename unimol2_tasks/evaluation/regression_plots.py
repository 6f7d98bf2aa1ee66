"""Charts of predicted values: parity, residuals and errors."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from unimol2_tasks.evaluation.charts import ACCENT, INK, TICKS, Chart, axes, chart, with_unit
from unimol2_tasks.evaluation.labels import FloatArray
from unimol2_tasks.evaluation.scoretable import interval_size, number
from unimol2_tasks.evaluation.uncertainty import conformal_interval

_MOST_DOTS = 2000
"""Above it dots hide each other and weigh megabytes; hexagons shaded by density take their place."""

Limits = tuple[float, float]


def parity(
    true: FloatArray, pred: FloatArray, unit: str, halfwidth: float | None, logarithmic: bool
) -> Chart:
    """Predictions over labels, [n] each, with the conformal interval as a band along the diagonal."""
    limits = _limits(np.concatenate([true, pred]))
    with axes() as ax:
        if halfwidth is not None and np.isfinite(halfwidth):
            line = _banded(limits, logarithmic)
            low, high = conformal_interval(line, halfwidth, logarithmic)
            ax.fill_between(line, low, high, color=ACCENT, alpha=0.1, linewidth=0)
        ax.plot(limits, limits, color=INK, linewidth=1, linestyle="--")
        _dots(ax, true, pred, limits, limits)
        ticks = [tick for tick in MaxNLocator(TICKS).tick_values(*limits) if limits[0] <= tick <= limits[1]]
        ax.set(xlim=limits, ylim=limits, xticks=ticks, yticks=ticks, aspect="equal")
        ax.set(xlabel=with_unit("measured", unit), ylabel=with_unit("predicted", unit))
        caption = (
            f"{len(true):,} molecules; on the dashed line the prediction is exact."
            f"{_band(halfwidth, unit, logarithmic)}"
        )
        return chart(ax, "Predicted against measured", caption)


def residuals(
    true: FloatArray, pred: FloatArray, unit: str, halfwidth: float | None, logarithmic: bool
) -> Chart:
    """Errors over predictions, [n] each, which shows where a model is biased."""
    error = pred - true
    x, y = _limits(pred), _limits(np.append(error, 0.0))
    with axes() as ax:
        if halfwidth is not None and np.isfinite(halfwidth):
            line = _banded(x, logarithmic)
            low, high = conformal_interval(line, halfwidth, logarithmic)
            ax.fill_between(line, line - high, line - low, color=ACCENT, alpha=0.1, linewidth=0)
        ax.axhline(0, color=INK, linewidth=1, linestyle="--")
        _dots(ax, pred, error, x, y)
        ax.set(xlim=x, ylim=y)
        ax.xaxis.set_major_locator(MaxNLocator(TICKS))
        ax.set(xlabel=with_unit("predicted", unit), ylabel=with_unit("predicted - measured", unit))
        caption = "Above the dashed line the prediction is too high."
        return chart(ax, "Residuals", caption + _band(halfwidth, unit, logarithmic))


def errors(error: FloatArray, unit: str) -> Chart:
    """The distribution of the errors, [n]."""
    bins = int(np.clip(2 * np.sqrt(len(error)), 5, 40))
    half, most = np.quantile(np.abs(error), [0.5, 0.9])
    after = f" {unit}" if unit else ""
    with axes() as ax:
        ax.hist(error, bins=bins, color=ACCENT, alpha=0.8, rwidth=0.92)
        ax.axvline(0, color=INK, linewidth=1, linestyle="--")
        ax.grid(visible=False, axis="x")
        ax.xaxis.set_major_locator(MaxNLocator(TICKS))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel=with_unit("predicted - measured", unit), ylabel="molecules")
        caption = (
            f"Half of the molecules are within {number(half)}{after} and 90 % within {number(most)}{after}; "
            f"the mean error is {number(float(error.mean()))}{after}."
        )
        return chart(ax, "Errors", caption)


def _banded(limits: Limits, logarithmic: bool) -> FloatArray:
    """Where a band begins and ends; there is none below 0 that is one of logarithms."""
    return np.maximum(limits, 0.0) if logarithmic else np.array(limits)


def _band(halfwidth: float | None, unit: str, logarithmic: bool) -> str:
    if halfwidth is None or not np.isfinite(halfwidth):
        return ""
    return f" The band is the 90 % interval, {interval_size(halfwidth, unit, logarithmic)}."


def _limits(values: FloatArray) -> Limits:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _dots(ax: Axes, x: FloatArray, y: FloatArray, x_limits: Limits, y_limits: Limits) -> None:
    if len(x) <= _MOST_DOTS:
        opacity = 0.75 if len(x) < 300 else 0.4
        ax.scatter(x, y, s=11, color=ACCENT, alpha=opacity, linewidths=0)
        return
    hexagons = ax.hexbin(x, y, gridsize=38, mincnt=1, linewidths=0.1, extent=(*x_limits, *y_limits))
    counts = np.asarray(hexagons.get_array(), dtype=np.float64)
    opacities = 0.2 + 0.8 * np.log1p(counts) / np.log1p(counts.max())
    hexagons.set_array(None)
    hexagons.set_facecolor([(ACCENT, float(alpha)) for alpha in opacities])
    hexagons.set_edgecolor("none")
