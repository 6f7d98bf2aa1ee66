"""`unimol2 prepare`: a table becomes a dataset."""

from typing import Annotated

import typer

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import (
    InputOption,
    OutOption,
    ParamsOption,
    SetOption,
    SmilesOption,
    read_params,
    say,
)
from unimol2_tasks.console import progress_bars


def prepare(
    table: InputOption,
    out: OutOption,
    smiles_column: SmilesOption = None,
    id_column: Annotated[
        str | None, typer.Option("--id-column", help="Column with identifiers; default: guessed by its name.")
    ] = None,
    label_columns: Annotated[
        str | None,
        typer.Option(
            "--label-columns", help="Labels, separated by commas; `none`; default: all numeric columns."
        ),
    ] = None,
    rev: Annotated[
        str | None,
        typer.Option(
            "--rev",
            help="Read the table as of this Git revision of its repository, kept by Git or DVC; "
            "default: as it lies there.",
        ),
    ] = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Turn a table of molecules into a validated dataset with 3D conformers."""
    from unimol2_tasks.stages import prepare as stage

    inputs = stage.PrepareInputs(table, smiles_column, id_column, _columns(label_columns), rev)
    settings = read_params(params, assignments)
    with progress_bars():
        ref = stage.run(settings.prepare, inputs, out, Store())
    say(ref)


def _columns(text: str | None) -> tuple[str, ...] | None:
    """Names of `--label-columns`; None: all numeric columns."""
    if text is None:
        return None
    return () if text == "none" else tuple(name.strip() for name in text.split(","))
