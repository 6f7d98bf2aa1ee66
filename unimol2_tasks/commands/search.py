"""`unimol2 search`: many fine-tunings, and the best of them."""

from typing import Annotated

import typer

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import DatasetOption, OutOption, ParamsOption, SetOption, read_params, say
from unimol2_tasks.console import progress_bars


def search(
    dataset: DatasetOption,
    out: OutOption,
    model: Annotated[
        str | None, typer.Option("--model", help="A pretrained model; default: every trial from scratch.")
    ] = None,
    refit: Annotated[
        str | None,
        typer.Option(
            "--refit", metavar="PREDICTOR", help="Also make a predictor here, with the best parameters."
        ),
    ] = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Search for the parameters of fine-tuning that do best on validation, by finetune.best_by.

    Which keys of finetune take which values stands in the section search of the parameters: a list of choices
    or {low, high, log, step} for each key; by default the paper's grid, of which 20 combinations are tried.
    Everything else of finetune, its seeds too, is the same for all trials.

    --out gets trials.csv, best.yaml (for: unimol2 finetune --params) and trials.html. Stopped or killed, the
    same command goes on: trials that have ended are not trained again. A trial that diverges or needs too
    much memory is recorded with its reason, and the others go on.
    """
    from unimol2_tasks.stages import search as stage

    settings = read_params(params, assignments)
    inputs = stage.SearchInputs(dataset, model, refit)
    with progress_bars():
        ref = stage.run(settings, inputs, out, Store())
    say(ref)
