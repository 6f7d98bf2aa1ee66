"""The learning curve of a model or predictor as a picture that fits into a Prefect artifact."""

import base64
import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.evaluation.charts import axes
from unimol2_tasks.evaluation.contents import Curve
from unimol2_tasks.stages.curves import training_curves

_DPI = 110
_GRID = "#dddddd"
_FEW_POINTS = 20
"""So few are drawn as points, such as validations, which a line only joins."""
_LEGEND_ENTRIES = 8


def curve_picture(trained: LocalArtifact) -> str | None:
    """A PNG as a `data:` URI, 10 to 50 kB; None where there is no curve, as in a converted model."""
    lines = [
        (_label(curve, name), np.asarray(x, float), np.asarray(y, float))
        for curve in training_curves({"": trained})
        for name, (x, y) in curve.series.items()
        if np.size(x)
    ]
    if not lines:
        return None
    buffer = io.BytesIO()
    with axes(6.0, 3.4) as ax:
        for index, (name, x, y) in enumerate(lines):
            marker = "o" if x.size < _FEW_POINTS else ""
            ax.plot(x, y, color=f"C{index % 10}", linewidth=1.4, marker=marker, label=name)
        _scale(ax, np.concatenate([y for _, _, y in lines]))
        ax.grid(color=_GRID)
        ax.set(xlabel="optimiser step", ylabel="loss")
        if len(lines) <= _LEGEND_ENTRIES:
            ax.legend(frameon=False)
        figure = ax.get_figure(root=True)
        assert figure is not None  # noqa: S101 - `axes` made it
        figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _scale(ax: Axes, losses: NDArray[np.float64]) -> None:
    """Losses that fall more than twentyfold get a logarithmic axis, as in the report."""
    lowest, highest = float(losses.min()), float(losses.max())
    if 0 < lowest < highest / 20 < np.inf:
        ax.set_yscale("log")
        # The style of the charts leaves matplotlib's own mathematics, in which it writes powers, as source.
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())


def _label(curve: Curve, name: str) -> str:
    """Of an ensemble a curve is a loss and its lines are members; else the lines are losses."""
    return f"{curve.title.strip(', ')} {name}".strip()
