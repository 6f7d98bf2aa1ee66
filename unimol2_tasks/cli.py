"""`unimol2 …`: what people type and what `dvc.yaml` calls.

Exit code 0 only when the artifact is published, 2 for a refusal with one readable message, 1 for a
failure, 143 when stopped by SIGTERM.
"""

import signal
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.console import console, log_to_console, progress_bars
from unimol2_tasks.data_commands import data_app
from unimol2_tasks.errors import TrainingFailed, UserError
from unimol2_tasks.params import Params, load_params
from unimol2_tasks.plan_command import plan
from unimol2_tasks.replay_command import replay

app = typer.Typer(
    name="unimol2",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Uni-Mol2: from a table of molecules to a pretrained model, a predictor and its report.",
    epilog="Every --out, --dataset, --model, --predictor and --input may be a path or an s3:// address; "
    "endpoint and keys come from the AWS environment.",
)
scaling_app = typer.Typer(no_args_is_help=True, help="The scaling law: fit it, and predict with it.")
app.add_typer(scaling_app, name="scaling")
app.add_typer(data_app, name="data")

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


@app.command()
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
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Turn a table of molecules into a validated dataset with 3D conformers."""
    from unimol2_tasks.stages import prepare as stage

    inputs = stage.PrepareInputs(table, smiles_column, id_column, _columns(label_columns))
    settings = _params(params, assignments)
    with progress_bars():
        ref = stage.run(settings.prepare, inputs, out, Store())
    _say(ref)


@app.command()
def pretrain(
    dataset: DatasetOption, out: OutOption, params: ParamsOption = None, assignments: SetOption = None
) -> None:
    """Pretrain a network; run again after an interruption, it goes on from its newest checkpoint."""
    from unimol2_tasks.stages import pretrain as stage

    settings = _params(params, assignments)
    with progress_bars():
        ref = stage.run(settings, stage.PretrainInputs(dataset), out, Store())
    _say(ref)


@app.command()
def finetune(
    dataset: DatasetOption,
    out: OutOption,
    model: Annotated[
        str | None, typer.Option("--model", help="A pretrained model; default: start from scratch.")
    ] = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Fine-tune a model on a labelled dataset; keeps the weights with the lowest validation loss."""
    from unimol2_tasks.stages import finetune as stage

    settings = _params(params, assignments)
    with progress_bars():
        ref = stage.run(settings, stage.FinetuneInputs(dataset, model), out, Store())
    _say(ref)


@app.command()
def evaluate(
    predictor: Annotated[str, typer.Option("--predictor", help="What `unimol2 finetune` made.")],
    dataset: DatasetOption,
    out: OutOption,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare", metavar="NAME=PREDICTOR", help="Another predictor for the table; repeatable."
        ),
    ] = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Judge a predictor on a held-out split beside honest baselines; writes report.html."""
    from unimol2_tasks.stages import evaluate as stage

    others = dict(_name_and_value(text) for text in compare or ())
    settings = _params(params, assignments)
    with progress_bars():
        ref = stage.run(settings, stage.EvaluateInputs(predictor, dataset, others), out, Store())
    _say(ref)


@app.command()
def predict(
    predictor: Annotated[str, typer.Option("--predictor", help="What `unimol2 finetune` made.")],
    table: InputOption,
    out: Annotated[str, typer.Option("--out", help="A .csv or .parquet file, local or s3://.")],
    smiles_column: SmilesOption = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Predict every row of a table, in its order; a row that fails says why."""
    from unimol2_tasks.stages import predict as stage

    settings = _params(params, assignments)
    with progress_bars():
        ref = stage.run(settings, stage.PredictInputs(predictor, table, smiles_column), out, Store())
    _say(ref)


@app.command()
def embed(
    model: Annotated[str, typer.Option("--model", help="What `unimol2 pretrain` made.")],
    table: InputOption,
    out: Annotated[str, typer.Option("--out", help="A .csv or .parquet file, local or s3://.")],
    smiles_column: SmilesOption = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
) -> None:
    """Write the pretrained representation of every row of a table, in its order."""
    from unimol2_tasks.stages import predict as stage

    settings = _params(params, assignments)
    with progress_bars():
        ref = stage.run_embed(settings, stage.PredictInputs(model, table, smiles_column), out, Store())
    _say(ref)


@scaling_app.command("fit")
def scaling_fit(
    models: Annotated[list[str], typer.Argument(help="Pretrained models of at least two sizes.")],
    out: OutOption,
    skip_steps: Annotated[int, typer.Option(help="Steps at the start of each curve that do not count.")] = 0,
) -> None:
    """Fit L(M, S, C) = a·M^b + c·S^d + e·C^f to the validation curves of several models."""
    from unimol2_tasks.stages import scaling as stage

    _say(stage.run(stage.ScalingInputs(models, skip_steps), out, Store()))


@scaling_app.command("predict")
def scaling_predict(
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


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="A released checkpoint.pt, or a model.")],
    out: Annotated[str, typer.Argument(help="A new model, or a new checkpoint.pt.")],
) -> None:
    """Convert a released checkpoint to a model, or back, without changing a bit."""
    from unimol2_tasks.stages import convert as stage

    if source.endswith(".pt"):
        _say(stage.from_released(Path(source), out, Store()))
    else:
        stage.to_released(source, Path(out), Store())
        typer.echo(out)


@app.command()
def verify(
    artifact: Annotated[str, typer.Argument(help="Any artifact, a folder or a file such as predictions.")],
) -> None:
    """Check an artifact: manifest, sizes, hashes, tables."""
    from unimol2_tasks.stages.verify import verify as check

    for line in check(artifact, Store()):
        typer.echo(line)


@app.command()
def doctor() -> None:
    """Say what this machine has, what is missing, and what to type."""
    from unimol2_tasks.doctor import examine

    healthy = examine(console)
    raise typer.Exit(0 if healthy else 1)


app.command("replay")(replay)
app.command("plan")(plan)


def main() -> None:
    """Run the command line; a refusal is one message without a traceback."""
    signal.signal(signal.SIGTERM, _stop)
    log_to_console()
    for entry in entry_points(group="unimol2_tasks.commands"):
        app.command(entry.name)(entry.load())
    try:
        app()
    except (UserError, TrainingFailed) as error:
        console.print(f"[bold red]unimol2:[/] {_plain(error)}", highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        console.print("unimol2: stopped; run the same command again to go on")
        sys.exit(130)


def _stop(*_: object) -> NoReturn:
    """Leave through every `finally`, so that training gets its emergency checkpoint and ends."""
    raise SystemExit(143)


def _params(path: Path | None, assignments: list[str] | None) -> Params:
    return load_params(path, assignments or ())


def _columns(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return () if text == "none" else tuple(name.strip() for name in text.split(","))


def _name_and_value(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UserError(f"--compare {text}: expected NAME=PREDICTOR")
    return name, value


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))


def _say(ref: ArtifactRef) -> None:
    typer.echo(f"{ref.uri}\t{ref.kind}\t{ref.digest}")


if __name__ == "__main__":
    main()
