"""`unimol2 evaluate`: a predictor beside baselines."""

from collections.abc import Iterable
from typing import Annotated

import typer

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import (
    DatasetOption,
    OutOption,
    ParamsOption,
    PredictorOption,
    SetOption,
    read_params,
    say,
)
from unimol2_tasks.console import progress_bars
from unimol2_tasks.errors import UserError


def evaluate(
    predictor: PredictorOption,
    dataset: DatasetOption,
    out: OutOption,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare", metavar="NAME=PREDICTOR", help="Another predictor for the table; repeatable."
        ),
    ] = None,
    curves: Annotated[
        list[str] | None,
        typer.Option(
            "--curves", metavar="NAME=MODEL", help="A model whose learning curves are shown; repeatable."
        ),
    ] = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Judge a predictor on a held-out split beside baselines; writes report.html."""
    from unimol2_tasks.stages import evaluate as stage

    others = _by_name("--compare", "PREDICTOR", compare or ())
    models = _by_name("--curves", "MODEL", curves or ())
    settings = read_params(params, assignments)
    with progress_bars():
        ref = stage.run(settings, stage.EvaluateInputs(predictor, dataset, others, models), out, Store())
    say(ref)


def _by_name(option: str, what: str, texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise UserError(f"{option} {text}: expected NAME={what}")
        if name in found:
            raise UserError(f"{option} {text}: {name} is already the name of {found[name]}; choose another")
        found[name] = value
    return found
