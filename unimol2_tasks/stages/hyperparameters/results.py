"""The files of a search: the table of its trials, the parameters of the best, a page to look at."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import yaml

from unimol2_tasks.artifacts.schemas import TRIALS, validate
from unimol2_tasks.evaluation.search_page import Axis, ShownTrial, render_search
from unimol2_tasks.params import Params, Range, SearchParams, load_params
from unimol2_tasks.params.search import Choice, Dimension
from unimol2_tasks.stages.hyperparameters.proposals import Values
from unimol2_tasks.stages.hyperparameters.rounds import TrialResult
from unimol2_tasks.stages.hyperparameters.trials import described
from unimol2_tasks.training.judgement import measure

TRIALS_TABLE = "trials.csv"
BEST = "best.yaml"
PAGE = "trials.html"
_NOT_FOR_TRAINING = {"search", "study"}


def write_results(folder: Path, results: Sequence[TrialResult], best: TrialResult, params: Params) -> None:
    """Write everything that a finished search leaves.

    Args:
        folder: Where.
        results: All trials, in order.
        best: The one that does best on validation.
        params: With the values of the best.
    """
    table = validate(trials_table(results, params.search), TRIALS, str(folder / TRIALS_TABLE))
    table.write_csv(folder / TRIALS_TABLE)
    (folder / BEST).write_text(_best_file(best, len(results), params), encoding="utf-8")
    metrics = {
        measure(params.finetune.best_by): best.outcome.loss,
        **best.outcome.metrics,
        "best_trial": best.number,
        "complete": sum(result.outcome.state == "complete" for result in results),
        "failed": sum(result.outcome.state == "failed" for result in results),
    }
    (folder / "metrics.json").write_text(
        json.dumps(metrics, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    search = params.search
    shown = [_shown(result, search) for result in results]
    axes = [_axis(name, values) for name, values in search.space.items()]
    page = render_search(shown, axes, search.sampler, measure(params.finetune.best_by))
    (folder / PAGE).write_text(page, encoding="utf-8")


def read_best(folder: Path, search: SearchParams) -> Values:
    """The values of the best trial of a published search."""
    best = load_params(folder / BEST).finetune
    return {key: getattr(best, key) for key in search.space}


def trials_table(results: Sequence[TrialResult], search: SearchParams) -> pl.DataFrame:
    """One row per trial, a column for each searched key and each metric."""
    names = sorted({name for result in results for name in result.outcome.metrics})
    columns: dict[str, pl.Series] = {
        "number": pl.Series([result.number for result in results], dtype=pl.UInt64),
        "state": pl.Series([result.outcome.state for result in results], dtype=pl.String),
        **{key: _column([result.values[key] for result in results]) for key in search.space},
        "loss": pl.Series([result.outcome.loss for result in results], dtype=pl.Float64),
        **{
            name: pl.Series([result.outcome.metrics.get(name) for result in results], dtype=pl.Float64)
            for name in names
        },
        "seconds": pl.Series(
            [None if result.same_as is not None else result.outcome.seconds for result in results],
            dtype=pl.Float64,
        ),
        "reason": pl.Series([_reason(result) for result in results], dtype=pl.String),
    }
    return pl.DataFrame(columns)


def _column(values: Sequence[Choice]) -> pl.Series:
    """Numbers stay numbers; what is mixed becomes words."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return pl.Series(values, strict=False)
    return pl.Series([_word(value) for value in values], dtype=pl.String)


def _word(value: Choice) -> str:
    # As the parameter file writes it, so that a cell can be copied.
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _reason(result: TrialResult) -> str | None:
    if result.same_as is not None:
        return f"same values as trial {result.same_as}"
    return result.outcome.reason or None


def _best_file(best: TrialResult, trials: int, params: Params) -> str:
    values = params.model_dump(mode="json", exclude=_NOT_FOR_TRAINING)
    worth = f"{measure(params.finetune.best_by)} {best.outcome.loss:.6g}"
    head = (
        f"# The best of {trials} trials: number {best.number}, {worth}, with\n# {described(best.values)}.\n"
    )
    return head + yaml.safe_dump(values, sort_keys=False)


def _shown(result: TrialResult, search: SearchParams) -> ShownTrial:
    return ShownTrial(
        number=result.number,
        values={key: _place(result.values[key], search.space[key]) for key in search.space},
        loss=result.outcome.loss,
        seconds=None if result.same_as is not None else result.outcome.seconds,
        note=_reason(result) or "",
        repeats=result.same_as is not None,
    )


def _place(value: Choice, values: Dimension) -> float | str:
    return value if isinstance(values, Range) and isinstance(value, int | float) else _word(value)


def _axis(name: str, values: Dimension) -> Axis:
    if isinstance(values, Range):
        return Axis(name, log=values.log)
    return Axis(name, tuple(_word(value) for value in values))
