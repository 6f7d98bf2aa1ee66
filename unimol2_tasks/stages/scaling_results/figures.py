"""The figures of a scaling study: curves, linear and logarithmic, and predicted over actual losses."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from unimol2_tasks.evaluation.charts import INK, SERIES, Chart, LegendEntry, axes, chart
from unimol2_tasks.stages.scaling_results.law_files import PredictedPoint

_DASHES = ("-", "--", ":", "-.")
_STEPS, _LOSS = "optimiser step", "validation loss"


def study_figures(points: Sequence[PredictedPoint]) -> dict[str, Chart]:
    """Draw a study's figures, by file name without ending.

    Args:
        points: Every measured loss, run by run and by step, as `law_files.read_points` gives them.
    """
    runs = _by_run([point for point in points if point.part != "skipped"])
    drawn = {
        "curves": _curves(runs, "Losses, and the law", logarithmic=False),
        "curves-log": _curves(runs, "Losses, and the law, on logarithmic axes", logarithmic=True),
    }
    held_out = [run for run in runs if run[0].part in ("held out", "test")]
    if held_out:
        drawn["held-out"] = _held_out(held_out)
    drawn["predicted-over-actual"] = _predicted_over_actual(points)
    return drawn


def size_names(millions: Iterable[float]) -> dict[float, str]:
    """Sizes for people, such as 0.508M, with as many digits as tell each from the others."""
    sizes = set(millions)
    return {size: _size_name(size, sizes - {size}) for size in sizes}


def _size_name(size: float, others: set[float]) -> str:
    digits = 3
    while f"{size:.{digits}g}" in {f"{other:.{digits}g}" for other in others}:
        digits += 1
    return f"{size:.{digits}g}M"


def _by_run(points: Sequence[PredictedPoint]) -> list[list[PredictedPoint]]:
    runs: dict[str, list[PredictedPoint]] = {}
    for point in points:
        runs.setdefault(point.run, []).append(point)
    return list(runs.values())


def _curves(runs: Sequence[list[PredictedPoint]], title: str, *, logarithmic: bool) -> Chart:
    legend = []
    first = min(point.steps for run in runs for point in run if point.part == "fit")
    names = size_names(run[0].millions for run in runs)
    with axes() as ax:
        for index, run in enumerate(runs):
            held_out = run[0].part != "fit"
            shown = [point for point in run if point.steps >= first]
            legend.append(_measured(ax, shown, index, names[run[0].millions], held_out))
            _line(ax, shown, lambda point: point.predicted, index, dashed=held_out)
        _label(ax, logarithmic=logarithmic)
        caption = "Dots: measured. Lines: the law; dashed where the size had no part in the fit."
        return chart(ax, title, caption, tuple(legend))


def _measured(ax: Axes, run: Sequence[PredictedPoint], index: int, name: str, held_out: bool) -> LegendEntry:
    colour = index % len(SERIES)
    steps, losses = [point.steps for point in run], [point.loss for point in run]
    ax.scatter(steps, losses, s=7, color=SERIES[colour], alpha=0.6, linewidths=0)
    return LegendEntry(name + (", held out" if held_out else ""), f"series-{colour + 1}")


def _line(
    ax: Axes,
    run: Sequence[PredictedPoint],
    value: Callable[[PredictedPoint], float],
    index: int,
    *,
    dashed: bool,
) -> None:
    dash = _DASHES[int(dashed)]
    steps, values = [point.steps for point in run], [value(point) for point in run]
    ax.plot(steps, values, color=SERIES[index % len(SERIES)], linestyle=dash, linewidth=1.3)


def _label(ax: Axes, *, logarithmic: bool) -> None:
    ax.set(xlabel=_STEPS, ylabel=_LOSS)
    if logarithmic:
        ax.set(xscale="log", yscale="log")
        # matplotlib writes powers of ten in its own mathematics, which SVG text would show as source.
        plain = FuncFormatter(lambda value, _: f"{value:g}")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(plain)
            axis.set_minor_formatter(NullFormatter())
        # Less than a decade has hardly a power of ten in it.
        ax.set_yticks(_ticks(*ax.get_ylim()))
        ax.set_xticks(_ticks(*ax.get_xlim()))


def _ticks(low: float, high: float) -> list[float]:
    """Round values within a range, evenly spread on a logarithmic axis."""
    spread = np.geomspace(low, high, 7)[1:-1]
    rounded = [float(f"{value:.2g}") for value in spread]
    return [value for value in dict.fromkeys(rounded) if low <= value <= high]


def _held_out(runs: Sequence[list[PredictedPoint]]) -> Chart:
    legend = []
    names = size_names(run[0].millions for run in runs)
    with axes() as ax:
        for index, run in enumerate(runs):
            measured = _measured(ax, run, index, f"{names[run[0].millions]}, measured", held_out=False)
            legend.append(measured)
            _line(ax, run, lambda point: point.predicted, index, dashed=False)
            if np.isfinite([point.lower for point in run]).all():
                ends = ([point.lower for point in run], [point.upper for point in run])
                colour = SERIES[index % len(SERIES)]
                ax.fill_between([point.steps for point in run], *ends, color=colour, alpha=0.18, linewidth=0)
        judged = [point for run in runs for point in run if point.part == "test"]
        if judged:
            ax.axvline(min(point.steps for point in judged), color=INK, linewidth=1, linestyle=":")
        _focus(ax, runs)
        ax.set(xlabel=_STEPS, ylabel=_LOSS)
        caption = (
            "Dots: measured. Line: predicted from the smaller sizes alone, with the 95 % interval of a "
            "measurement. Right of the dotted line it is judged."
        )
        return chart(ax, "Predicted and actual losses of what was held out", caption, tuple(legend))


def _focus(ax: Axes, runs: Sequence[list[PredictedPoint]]) -> None:
    """Leave out the first losses, which would flatten everything that the law is about."""
    losses = [point.loss for run in runs for point in run[len(run) // 8 :]]
    bounds = [value for run in runs for point in run[len(run) // 8 :] for value in (point.predicted,)]
    low, high = min(losses + bounds), max(losses + bounds)
    margin = 0.06 * (high - low)
    ax.set_ylim(low - margin, high + margin)


def _predicted_over_actual(points: Sequence[PredictedPoint]) -> Chart:
    shown = {"fit": "of the fit", "test": "held out, judged"}
    legend = []
    values = [v for point in points if point.part in shown for v in (point.loss, point.predicted)]
    margin = 0.04 * (max(values) - min(values))
    limits = (min(values) - margin, max(values) + margin)
    with axes() as ax:
        ax.plot(limits, limits, color=INK, linewidth=1, linestyle="--")
        for index, (part, label) in enumerate(shown.items()):
            chosen = [point for point in points if point.part == part]
            actual, predicted = [p.loss for p in chosen], [p.predicted for p in chosen]
            if chosen:
                ax.scatter(actual, predicted, s=9, color=SERIES[index], alpha=0.7, linewidths=0)
                legend.append(LegendEntry(label, f"series-{index + 1}"))
        ax.set(xlim=limits, ylim=limits, aspect="equal", xlabel="actual loss", ylabel="predicted loss")
        caption = "On the dashed line the prediction is exact."
        return chart(ax, "Predicted over actual", caption, tuple(legend))
