"""`unimol2 pretrain` and `unimol2 finetune`."""

from typing import Annotated

import typer

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import DatasetOption, OutOption, ParamsOption, SetOption, read_params, say
from unimol2_tasks.console import progress_bars


def pretrain(
    dataset: DatasetOption,
    out: OutOption,
    model: Annotated[
        str | None,
        typer.Option("--model", help="A pretrained model to start from; default: fresh weights."),
    ] = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Pretrain a network; run again after an interruption, it goes on from its newest checkpoint."""
    from unimol2_tasks.stages import pretrain as stage

    settings = read_params(params, assignments)
    with progress_bars():
        ref = stage.run(settings, stage.PretrainInputs(dataset, model), out, Store())
    say(ref)


def finetune(
    dataset: DatasetOption,
    out: OutOption,
    model: Annotated[
        str | None, typer.Option("--model", help="A pretrained model; default: start from scratch.")
    ] = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Fine-tune a model on a labelled dataset; keeps the weights that do best on validation."""
    from unimol2_tasks.stages import finetune as stage

    settings = read_params(params, assignments)
    with progress_bars():
        ref = stage.run(settings, stage.FinetuneInputs(dataset, model), out, Store())
    say(ref)
