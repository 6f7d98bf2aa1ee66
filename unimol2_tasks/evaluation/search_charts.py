"""Charts of a search: what trials are worth, in their order and by each of the searched parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from unimol2_tasks.evaluation.charts import ACCENT, INK, SERIES, Chart, axes, chart

_BEST = SERIES[1]
_SPREAD = 0.5
"""Share of the room of a choice in which its dots lie side by side."""
_OTHERS = "The large dot is the best trial; the other parameters differ from dot to dot."


@dataclass(frozen=True, slots=True)
class ShownTrial:
    """A trial as a page shows it."""

    number: int
    values: Mapping[str, float | str]
    """By parameter; of a list the choice in words, of a range the number."""
    loss: float | None
    """None: it failed."""
    seconds: float | None
    note: str = ""
    repeats: bool = False
    """Whether an earlier trial had the same values."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One searched parameter."""

    name: str
    choices: tuple[str, ...] = ()
    """In their order; empty: a range of numbers."""
    log: bool = False


def history_chart(trials: Sequence[ShownTrial], measure: str) -> Chart:
    """What each trial is worth, in their order, and the lowest so far."""
    complete = [trial for trial in trials if trial.loss is not None]
    numbers, losses = [trial.number for trial in complete], _losses(complete)
    failed = [trial.number for trial in trials if trial.loss is None]
    with axes() as ax:
        ax.step(numbers, np.minimum.accumulate(losses), where="post", color=_BEST, linewidth=1.6)
        ax.scatter(numbers, losses, s=22, color=ACCENT, alpha=0.8, linewidths=0)
        # At the upper edge, whatever the scale of the losses.
        ax.scatter(
            failed, [0.98] * len(failed), s=26, marker="x", color=INK, transform=ax.get_xaxis_transform()
        )
        ax.set(xlabel="trial", ylabel=measure, xlim=(-0.5, max(len(trials) - 0.5, 0.5)))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _scale_losses(ax, losses)
        crosses = (
            f" {_counted(len(failed), 'cross is a trial', 'crosses are trials')} that failed."
            if failed
            else ""
        )
        return chart(ax, "Over the trials", f"A dot is a trial, the line the lowest so far.{crosses}")


def parameter_chart(complete: Sequence[ShownTrial], axis: Axis, best: ShownTrial, measure: str) -> Chart:
    """What trials are worth against one parameter, whatever the others were."""
    losses = _losses(complete)
    with axes() as ax:
        if axis.choices:
            x = _choices(ax, complete, axis)
            caption = f"A bar is the median of a choice. {_OTHERS}"
        else:
            x = np.array([trial.values[axis.name] for trial in complete], dtype=np.float64)
            if axis.log:
                ax.set_xscale("log")
                _plain(ax.xaxis)
            caption = _OTHERS
        ax.scatter(x, losses, s=22, color=ACCENT, alpha=0.8, linewidths=0, zorder=3)
        place = complete.index(best)
        ax.scatter(x[place], losses[place], s=44, color=_BEST, linewidths=0, zorder=4)
        ax.set(xlabel=axis.name, ylabel=measure)
        _scale_losses(ax, losses)
        return chart(ax, axis.name, caption)


def _choices(ax: Axes, complete: Sequence[ShownTrial], axis: Axis) -> np.ndarray:
    """Places of the dots; draws the medians and names the choices."""
    places = np.array([axis.choices.index(str(trial.values[axis.name])) for trial in complete])
    losses, x = _losses(complete), places.astype(np.float64)
    for place in np.unique(places):
        own = np.flatnonzero(places == place)
        offsets = (np.arange(len(own)) - (len(own) - 1) / 2) * min(0.08, _SPREAD / len(own))
        x[own] += offsets
        median = float(np.median(losses[own]))
        ax.plot((place - 0.32, place + 0.32), (median, median), color=INK, linewidth=1.4)
    ax.set_xticks(range(len(axis.choices)), axis.choices)
    ax.set_xlim(-0.6, len(axis.choices) - 0.4)
    ax.grid(visible=False, axis="x")
    return x


def _scale_losses(ax: Axes, losses: np.ndarray) -> None:
    if 0 < losses.min() < losses.max() / 20:
        ax.set_yscale("log")
        _plain(ax.yaxis)


def _plain(direction: object) -> None:
    # matplotlib writes powers of ten in its own mathematics, which SVG text would show as source.
    direction.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # type: ignore[attr-defined]
    direction.set_minor_formatter(NullFormatter())  # type: ignore[attr-defined]


def _losses(complete: Sequence[ShownTrial]) -> np.ndarray:
    return np.array([trial.loss for trial in complete], dtype=np.float64)


def _counted(count: int, one: str, many: str) -> str:
    return f"The {one}" if count == 1 else f"The {many}"
