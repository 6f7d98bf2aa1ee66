"""Options that several commands share, and how a command reads its parameters and says its result."""

from pathlib import Path
from typing import Annotated

import typer

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params, load_params

ParamsOption = Annotated[
    Path | None,
    typer.Option(
        "--params", help="YAML file; default: params.yaml of the working folder, else built-in values."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one parameter; may be repeated."),
]
OutOption = Annotated[str, typer.Option("--out", help="A new folder, or an s3:// prefix.")]
DatasetOption = Annotated[str, typer.Option("--dataset", help="A dataset that `unimol2 prepare` made.")]
InputOption = Annotated[
    str,
    typer.Option(
        "--input", help="Table: .csv .tsv .smi .sdf .parquet .lmdb, text also .gz; a folder or glob."
    ),
]
SmilesOption = Annotated[
    str | None, typer.Option("--smiles-column", help="Column with SMILES; default: guessed by its name.")
]
PredictorOption = Annotated[str, typer.Option("--predictor", help="What `unimol2 finetune` made.")]
TableOutOption = Annotated[str, typer.Option("--out", help="A .csv or .parquet file, local or s3://.")]


def read_params(path: Path | None, assignments: list[str] | None) -> Params:
    """The parameters of `--params` and `--set`."""
    return load_params(path, assignments or ())


def say(ref: ArtifactRef) -> None:
    """Print address, kind and digest of what was made, for scripts."""
    typer.echo(f"{ref.uri}\t{ref.kind}\t{ref.digest}")
