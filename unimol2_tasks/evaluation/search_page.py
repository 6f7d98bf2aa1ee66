"""Render a search for hyper-parameters as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unimol2_tasks.evaluation.pages import page_environment
from unimol2_tasks.evaluation.scoretable import number
from unimol2_tasks.evaluation.search_charts import Axis, ShownTrial, history_chart, parameter_chart

__all__ = ["Axis", "ShownTrial", "render_search"]

_MOST_ROWS = 200
"""Rows of the page's table; the artifact's has them all."""
_SAMPLERS = {"grid": "a grid", "random": "random values", "tpe": "values proposed by TPE"}


@dataclass(frozen=True, slots=True)
class _Row:
    """A trial as the table shows it."""

    number: int
    loss: str
    values: list[str]
    time: str
    note: str
    best: bool


def render_search(trials: Sequence[ShownTrial], axes: Sequence[Axis], sampler: str, measure: str) -> str:
    """Render a finished search; the same trials always give the same bytes.

    Args:
        trials: All of them in order; at least one is complete. Every text is escaped.
        axes: The searched parameters.
        sampler: `grid`, `random` or `tpe`.
        measure: What trials are compared by, such as `valid/loss`; lower is better.

    Returns:
        The HTML document, to be written as UTF-8.
    """
    complete = [trial for trial in trials if trial.loss is not None]
    ranked = sorted(complete, key=lambda trial: (trial.loss, trial.number))
    best = ranked[0]
    failed = [trial for trial in trials if trial.loss is None]
    return (
        page_environment()
        .get_template("trials.html.jinja")
        .render(
            best=best,
            best_loss=_loss(best),
            best_values=[(axis.name, _text(best.values[axis.name])) for axis in axes],
            trials=len(trials),
            failed=len(failed),
            repeated=sum(trial.repeats for trial in trials),
            time=_duration(sum(trial.seconds or 0.0 for trial in trials)),
            source=_SAMPLERS[sampler],
            median=_loss(ranked[len(ranked) // 2]),
            history=history_chart(trials, measure),
            measure=measure,
            charts=[parameter_chart(complete, axis, best, measure) for axis in axes],
            names=[axis.name for axis in axes],
            rows=[_row(trial, axes, best) for trial in [*ranked, *failed][:_MOST_ROWS]],
            more=max(len(trials) - _MOST_ROWS, 0),
        )
    )


def _row(trial: ShownTrial, axes: Sequence[Axis], best: ShownTrial) -> _Row:
    return _Row(
        number=trial.number,
        loss=_loss(trial),
        values=[_text(trial.values[axis.name]) for axis in axes],
        time="" if trial.seconds is None else _duration(trial.seconds),
        note=trial.note,
        best=trial is best,
    )


def _loss(trial: ShownTrial) -> str:
    return (
        "failed" if trial.loss is None else f"{trial.loss:.4f}" if trial.loss >= 1e-3 else number(trial.loss)
    )


def _text(value: float | str) -> str:
    return str(value) if isinstance(value, str | int) else number(value)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
