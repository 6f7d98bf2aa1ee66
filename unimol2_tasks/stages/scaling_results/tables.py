"""The tables of a scaling study, the same on its page and in Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unimol2_tasks.stages.scaling_results.figures import size_names

_TERMS = {"size": "a·M^b", "steps": "c·S^d", "compute": "e·C^f"}
_METRICS = {"rmae": "RMAE", "bias": "bias", "mse": "MSE", "r2": "R²", "pearson": "Pearson r"}
_NONE = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """The table in Markdown, its note below it."""
        lines = [
            "| " + " | ".join(self.head) + " |",
            "|---|" + "---:|" * (len(self.head) - 1),
            *("| " + " | ".join(row) + " |" for row in self.rows),
        ]
        return "\n".join([f"### {self.title}", "", *lines, *(["", self.note] if self.note else [])]) + "\n"


def study_tables(fit: Mapping[str, Any]) -> list[Table]:
    """Everything that a fit says, as tables; those without content are left out.

    Args:
        fit: The content of `law.json`.
    """
    tables = [_held_out(fit), _methods(fit), _constants(fit), _terms(fit), _extrapolations(fit)]
    return [table for table in tables if table.rows]


def names_of(fit: Mapping[str, Any]) -> dict[float, str]:
    """The names of all sizes of a fit, in millions of parameters, and of what was held out."""
    return size_names([*fit["sizes"], *(one["millions"] for one in fit["held_out"].values())])


def percent(value: float) -> str:
    """A share as a percentage with two decimals."""
    return f"{100 * value:.2f} %"


def _held_out(fit: Mapping[str, Any]) -> Table:
    names = names_of(fit)
    rows = tuple(
        (
            names[one["millions"]],
            f"{one['from_step']:,.0f}",
            f"{one['n']:.0f}",
            *_scores(one),
            percent(one["within_interval"]) if "within_interval" in one else _NONE,
        )
        for one in sorted(fit["held_out"].values(), key=lambda one: one["millions"])
    )
    head = ("size", "from step", "losses", *_METRICS.values(), "within the interval")
    note = "RMAE: mean of |predicted − actual| / actual. The paper: 1.69 % at 570M, 0.95 % at 1.1B."
    return Table("Predicted, and never part of the fit", head, rows, note)


def _methods(fit: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            one["name"],
            str(one["constants"]),
            percent(one["fitted"]["rmae"]) if one["fitted"] else _NONE,
            *(_scores(one["tested"]) if one["tested"] else [_NONE] * len(_METRICS)),
        )
        for one in fit["alternatives"]
    )
    head = ("form", "constants", "RMAE of the fit", *(f"{name}, held out" for name in _METRICS.values()))
    note = (
        "All are fitted to the same losses. The first is the paper's form; none was chosen by what was held "
        "out. A form that fits better and predicts worse has too many constants for these sizes."
    )
    return Table("Would a simpler law have done?", head, rows, note)


def _scores(metrics: Mapping[str, float]) -> list[str]:
    return [
        percent(metrics["rmae"]),
        percent(metrics["bias"]),
        f"{metrics['mse']:.2e}",
        *(f"{metrics[name]:.3f}" if name in metrics else _NONE for name in ("r2", "pearson")),
    ]


def _constants(fit: Mapping[str, Any]) -> Table:
    intervals = fit["intervals"]
    rows = tuple(
        (name, f"{value:.4g}", _interval(intervals[name]) if intervals else _NONE)
        for name, value in fit["constants"].items()
    )
    counted = "parameters of the blocks" if fit.get("counted") == "blocks" else "parameters"
    note = (
        f"M in millions of {counted}, S in optimiser steps, C = M·S. {fit['agreeing_starts']} of "
        f"{fit['starts']} starts of the fit end in the same place. Intervals: refits to curves drawn with "
        "replacement, in blocks of neighbouring steps, because neighbouring losses are not independent."
    )
    return Table("L(M, S, C) = a·M^b + c·S^d + e·C^f", ("constant", "value", "95 % interval"), rows, note)


def _terms(fit: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            _TERMS[term["name"]],
            f"{term['loss']:.4g}",
            percent(term["share"]),
            _interval(term["interval"]),
            term["doubt"] or "determined",
        )
        for term in fit["terms"]
    )
    at = f"at {names_of(fit)[max(fit['sizes'])]} and step {max(fit['steps']):,.0f}" if rows else ""
    head = ("term", "loss", "share", "95 % interval", "do the data determine it?")
    return Table(f"The terms {at}", head, rows)


def _extrapolations(fit: Mapping[str, Any]) -> Table:
    found: Sequence[Mapping[str, Any]] = fit["extrapolations"]
    forms = list(dict.fromkeys(name for one in found for name in one["rmae"]))
    names = names_of(fit)
    rows = tuple(
        (
            names[one["predicted"]],
            ", ".join(names[size] for size in one["sizes"]),
            *(percent(one["rmae"][form]) if form in one["rmae"] else _NONE for form in forms),
        )
        for one in found
    )
    note = "RMAE on the last eighth of each curve. Nothing that was held out has a part in this table."
    return Table(
        "The same within the fit: each size from those below it", ("size", "from", *forms), rows, note
    )


def _interval(ends: Sequence[float]) -> str:
    return f"{ends[0]:.4g} to {ends[1]:.4g}"
