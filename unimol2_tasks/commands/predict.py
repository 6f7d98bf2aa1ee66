"""`unimol2 predict` and `unimol2 embed`: values for any table."""

from typing import Annotated

import typer

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import (
    InputOption,
    ParamsOption,
    PredictorOption,
    SetOption,
    SmilesOption,
    TableOutOption,
    read_params,
    say,
)
from unimol2_tasks.console import progress_bars

_IdOption = Annotated[
    str | None, typer.Option("--id-column", help="Column with the rows' names; default: guessed by its name.")
]


def predict(
    predictor: PredictorOption,
    table: InputOption,
    out: TableOutOption,
    smiles_column: SmilesOption = None,
    id_column: _IdOption = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Predict every row of a table, in its order; a row that fails says why.

    Beside each prediction: its interval, the spread over an ensemble's members, and the similarity to the
    nearest training molecule. A table may have any length; what was interrupted goes on when the same
    command is started again.
    """
    from unimol2_tasks.stages import predict as stage

    settings = read_params(params, assignments)
    with progress_bars():
        inputs = stage.PredictInputs(predictor, table, smiles_column, id_column)
        ref = stage.run(settings, inputs, out, Store())
    say(ref)


def embed(
    model: Annotated[
        str, typer.Option("--model", help="What `unimol2 pretrain` or, of one training, `finetune` made.")
    ],
    table: InputOption,
    out: TableOutOption,
    smiles_column: SmilesOption = None,
    id_column: _IdOption = None,
    atoms: Annotated[
        bool, typer.Option("--atoms", help="A row per heavy atom, with its number in the given SMILES.")
    ] = False,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Write the representation of every row of a table, in its order, or of every atom."""
    from unimol2_tasks.stages import predict as stage

    settings = read_params(params, assignments)
    with progress_bars():
        inputs = stage.PredictInputs(model, table, smiles_column, id_column)
        ref = stage.run_embed(settings, inputs, out, Store(), atoms=atoms)
    say(ref)
