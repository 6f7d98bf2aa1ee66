"""`unimol2 scaling`: the study, the law's fit and report, and predictions with it."""

from typing import Annotated

import typer

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import (
    DatasetOption,
    OutOption,
    ParamsOption,
    SetOption,
    read_params,
    say,
)
from unimol2_tasks.commands.scaling_plan import LawOption, plan
from unimol2_tasks.console import console, progress_bars
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Counted

scaling_app = typer.Typer(
    no_args_is_help=True,
    help="The scaling law: train a ladder of sizes, fit the law, predict and plan with it.",
)


@scaling_app.command()
def study(
    dataset: DatasetOption, out: OutOption, params: ParamsOption = None, assignments: SetOption = None
) -> None:
    """Pretrain a ladder of sizes, fit the law to the smaller ones and judge it on those held out.

    The section `study` of the parameters says which sizes. Run again after an interruption, it finds the
    models that are finished and goes on. Below --out: models/SIZE, law, report.
    """
    from unimol2_tasks.stages import study as stage

    settings = read_params(params, assignments)
    with progress_bars():
        ref = stage.run(settings, dataset, out, Store())
    say(ref)


@scaling_app.command()
def fit(
    models: Annotated[list[str], typer.Argument(help="Pretrained models of at least two sizes.")],
    out: OutOption,
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that the law is judged on, and that has no part in the fit; may be repeated."
        ),
    ] = None,
    counted: Annotated[
        Counted,
        typer.Option(
            help="What M counts: all parameters, or those of the blocks, without embeddings and heads, which "
            "are most of a network below 0.2 million."
        ),
    ] = "all",
    skip_steps: Annotated[
        int, typer.Option(min=0, help="Steps at the start of each curve that do not count.")
    ] = 0,
    test_from_step: Annotated[
        int | None,
        typer.Option(min=0, help="The law is judged on what comes after this step; default: last eighth."),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Refits to resampled curves, for 95 % intervals; 0: none.")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seeds the starts of the fit and its resampling.")] = 0,
) -> None:
    """Fit L(M, S, C) = a·M^b + c·S^d + e·C^f to the validation curves of several models."""
    from unimol2_tasks.stages import scaling as stage

    inputs = stage.ScalingInputs(
        models=models,
        held_out=held_out or (),
        counted=counted,
        skip_steps=skip_steps,
        test_from_step=test_from_step,
        bootstrap=bootstrap,
        seed=seed,
    )
    say(stage.run(inputs, out, Store()))


@scaling_app.command()
def report(
    law: Annotated[str, typer.Option(help="What `unimol2 scaling fit` made.")], out: OutOption
) -> None:
    """Write a page, figures and tables of a fitted law: study.html, *.svg, study.md."""
    from unimol2_tasks.stages.scaling_results import report as stage

    say(stage.run(law, out, Store()))


@scaling_app.command()
def predict(
    millions: Annotated[
        float, typer.Option(help="Parameters of the network, in millions, counted as the law does.")
    ],
    steps: Annotated[float, typer.Option(help="Optimiser steps.")],
    law: LawOption = None,
) -> None:
    """Predict the validation loss of a size before it is trained.

    A fitted law also gives the 95 % interval of a measurement: loss, lower and upper end, tab-separated.
    """
    from unimol2_tasks.commands.plan import law_scope
    from unimol2_tasks.planning.prediction import doubts_of
    from unimol2_tasks.scaling.resampling import prediction_interval
    from unimol2_tasks.stages.scaling_results.law_files import read_replicas

    scope = law_scope(law)
    replicas = [] if law is None else read_replicas(Store().fetch(law, "law").path)
    try:
        figures = [scope.law.predict(millions, steps)]
    except ValueError as error:
        raise UserError(f"scaling predict: {error}") from None
    if replicas:
        figures += prediction_interval(replicas, millions, steps)
    for doubt in doubts_of(scope, millions, steps, None):
        console.print(f"unimol2: outside the fit: {doubt}", highlight=False, soft_wrap=True)
    typer.echo("\t".join(f"{float(figure):.4f}" for figure in figures))


scaling_app.command()(plan)
