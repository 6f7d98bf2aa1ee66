"""Learning curves as charts."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from unimol2_tasks.evaluation.charts import SERIES, Chart, LegendEntry, axes, chart
from unimol2_tasks.evaluation.contents import Curve
from unimol2_tasks.evaluation.labels import FloatArray

_DASHES = ("-", "--", ":", "-.")


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
