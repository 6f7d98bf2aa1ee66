"""`unimol2 evaluate`: a predictor beside baselines."""

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
    """Judge a predictor on a held-out split beside honest baselines; writes report.html."""
    from unimol2_tasks.stages import evaluate as stage

    others = dict(_name_and_value("--compare", "PREDICTOR", text) for text in compare or ())
    models = dict(_name_and_value("--curves", "MODEL", text) for text in curves or ())
    settings = read_params(params, assignments)
    with progress_bars():
        ref = stage.run(settings, stage.EvaluateInputs(predictor, dataset, others, models), out, Store())
    say(ref)


def _name_and_value(option: str, what: str, text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UserError(f"{option} {text}: expected NAME={what}")
    return name, value
