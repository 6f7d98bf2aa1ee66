"""`unimol2 scaling`: fit the law, and predict with it."""

from typing import Annotated

import typer

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import OutOption, say
from unimol2_tasks.errors import UserError

scaling_app = typer.Typer(no_args_is_help=True, help="The scaling law: fit it, and predict with it.")


@scaling_app.command()
def fit(
    models: Annotated[list[str], typer.Argument(help="Pretrained models of at least two sizes.")],
    out: OutOption,
    skip_steps: Annotated[int, typer.Option(help="Steps at the start of each curve that do not count.")] = 0,
) -> None:
    """Fit L(M, S, C) = a·M^b + c·S^d + e·C^f to the validation curves of several models."""
    from unimol2_tasks.stages import scaling as stage

    say(stage.run(stage.ScalingInputs(models, skip_steps), out, Store()))


@scaling_app.command()
def predict(
    millions: Annotated[float, typer.Option(help="Parameters of the network, in millions.")],
    steps: Annotated[float, typer.Option(help="Optimiser steps.")],
    law: Annotated[str | None, typer.Option(help="A fitted law; default: the paper's.")] = None,
) -> None:
    """Predict the validation loss of a size before it is trained."""
    from unimol2_tasks.scaling.law import ScalingLaw
    from unimol2_tasks.stages.scaling import read_law

    chosen = ScalingLaw.paper() if law is None else read_law(Store().fetch(law, "law").path)
    try:
        loss = float(chosen.predict(millions, steps))
    except ValueError as error:
        raise UserError(f"scaling predict: {error}") from None
    typer.echo(f"{loss:.4f}")
