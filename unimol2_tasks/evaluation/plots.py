"""The report's plots: parity, residuals, ROC, reliability and learning curves."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from sklearn.metrics import roc_auc_score, roc_curve

from unimol2_tasks.evaluation.charts import ACCENT, INK, SERIES, Chart, LegendEntry, axes, chart
from unimol2_tasks.evaluation.contents import Curve, TargetResult
from unimol2_tasks.evaluation.metrics import FloatArray, labelled_rows
from unimol2_tasks.evaluation.scoretable import number

_MOST_DOTS = 2000
"""Above it dots hide each other and weigh megabytes; hexagons shaded by density take their place."""
_RELIABILITY_BINS = 10
_DASHES = ("-", "--", ":", "-.")


def target_charts(target: TargetResult) -> list[Chart]:
    """Draw what suits the target's kind; nothing where no row has a label.

    Raises:
        ValueError: If labels and predictions do not fit together (see `metrics.labelled_rows`).
    """
    true, pred = labelled_rows(target.y_true, target.y_pred)
    if len(true) == 0:
        return []
    if target.kind == "regression":
        return [_parity(true, pred, target), _residuals(pred - true, target)]
    return [*_roc(true, pred, target), _reliability(true, pred, target)]


def curve_chart(curve: Curve) -> Chart:
    """Draw the lines of a curve; losses that fall more than twentyfold get a logarithmic axis.

    Raises:
        ValueError: If a line's x and y differ in length.
    """
    legend = []
    lowest, highest = np.inf, -np.inf
    with axes() as ax:
        for index, (name, (x, y)) in enumerate(curve.series.items()):
            xs, ys = _finite(curve.title, name, np.asarray(x, np.float64), np.asarray(y, np.float64))
            colour, dash = index % len(SERIES), (index // len(SERIES)) % len(_DASHES)
            ax.plot(xs, ys, color=SERIES[colour], linestyle=_DASHES[dash], linewidth=1.6)
            legend.append(LegendEntry(name, f"series-{colour + 1} dash-{dash}"))
            if len(ys):
                lowest, highest = min(lowest, float(ys.min())), max(highest, float(ys.max()))
        if 0 < lowest < highest / 20 < np.inf:
            ax.set_yscale("log")
            # matplotlib writes powers of ten in its own mathematics, which SVG text would show as source.
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set(xlabel=curve.x_label, ylabel=curve.y_label)
        return chart(ax, curve.title, legend=tuple(legend))


def _finite(title: str, name: str, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"curve {title!r}, line {name!r}: x {x.shape} and y {y.shape} must be 1-D and equally long"
        )
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


def _parity(true: FloatArray, pred: FloatArray, target: TargetResult) -> Chart:
    low, high = float(min(true.min(), pred.min())), float(max(true.max(), pred.max()))
    margin = 0.04 * (high - low) or 0.5
    limits = (low - margin, high + margin)
    unit = f" ({target.unit})" if target.unit else ""
    with axes() as ax:
        ax.plot(limits, limits, color=INK, linewidth=1, linestyle="--")
        _dots(ax, true, pred, limits)
        ax.set(xlim=limits, ylim=limits, aspect="equal", xlabel=f"measured{unit}", ylabel=f"predicted{unit}")
        caption = f"{len(true):,} molecules; on the dashed line the prediction is exact."
        return chart(ax, "Predicted against measured", caption)


def _dots(ax: Axes, x: FloatArray, y: FloatArray, limits: tuple[float, float]) -> None:
    if len(x) <= _MOST_DOTS:
        opacity = 0.75 if len(x) < 300 else 0.4
        ax.scatter(x, y, s=11, color=ACCENT, alpha=opacity, linewidths=0)
        return
    hexagons = ax.hexbin(x, y, gridsize=38, mincnt=1, linewidths=0.1, extent=(*limits, *limits))
    counts = np.asarray(hexagons.get_array(), dtype=np.float64)
    opacity = 0.2 + 0.8 * np.log1p(counts) / np.log1p(counts.max())
    hexagons.set_array(None)
    hexagons.set_facecolor([(ACCENT, float(alpha)) for alpha in opacity])
    hexagons.set_edgecolor("none")


def _residuals(error: FloatArray, target: TargetResult) -> Chart:
    bins = int(np.clip(2 * np.sqrt(len(error)), 5, 40))
    half, most = np.quantile(np.abs(error), [0.5, 0.9])
    unit = f" {target.unit}" if target.unit else ""
    with axes() as ax:
        ax.hist(error, bins=bins, color=ACCENT, alpha=0.8, rwidth=0.92)
        ax.axvline(0, color=INK, linewidth=1, linestyle="--")
        ax.grid(visible=False, axis="x")
        label = "predicted - measured" + (f" ({target.unit})" if target.unit else "")
        ax.set(xlabel=label, ylabel="molecules")
        caption = (
            f"Half of the molecules are within {number(half)}{unit} and 90 % within {number(most)}{unit}; "
            f"the mean error is {number(float(error.mean()))}{unit}."
        )
        return chart(ax, "Errors", caption)


def _roc(true: FloatArray, probability: FloatArray, target: TargetResult) -> list[Chart]:
    if np.ptp(true) == 0:
        return []
    false_positive, true_positive, _ = roc_curve(true, probability)
    with axes() as ax:
        ax.plot((0, 1), (0, 1), color=INK, linewidth=1, linestyle="--")
        ax.fill_between(false_positive, true_positive, color=ACCENT, alpha=0.12, linewidth=0)
        ax.plot(false_positive, true_positive, color=ACCENT, linewidth=1.8)
        ax.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
        ax.set(xlabel="false positive rate", ylabel="true positive rate")
        caption = (
            f"{int(true.sum()):,} of {len(true):,} molecules are positive; area "
            f"{number(float(roc_auc_score(true, probability)))}, where 0.5 is chance."
        )
        return [chart(ax, "ROC curve", caption)]


def _reliability(true: FloatArray, probability: FloatArray, target: TargetResult) -> Chart:
    bins = np.minimum((probability * _RELIABILITY_BINS).astype(np.int64), _RELIABILITY_BINS - 1)
    count = np.bincount(bins, minlength=_RELIABILITY_BINS)
    filled = count > 0
    mean_probability = np.bincount(bins, probability, _RELIABILITY_BINS)[filled] / count[filled]
    observed = np.bincount(bins, true, _RELIABILITY_BINS)[filled] / count[filled]
    with axes() as ax:
        ax.plot((0, 1), (0, 1), color=INK, linewidth=1, linestyle="--")
        ax.plot(mean_probability, observed, color=ACCENT, linewidth=1, alpha=0.5)
        area = 15 + 185 * count[filled] / count.max()
        ax.scatter(
            mean_probability,
            observed,
            s=area,
            color=ACCENT,
            alpha=0.85,
            linewidths=0,
            clip_on=False,
            zorder=3,
        )
        ax.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
        ax.set(xlabel="predicted probability", ylabel="share that is positive")
        caption = "On the dashed line a probability means what it says; larger dots hold more molecules."
        return chart(ax, "Reliability", caption)
