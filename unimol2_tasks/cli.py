"""`unimol2 …`: what people type and what `dvc.yaml` calls.

Exit code 0 only when the artifact is published, 2 for a refusal with one readable message, 1 for a
failure, 143 when stopped by SIGTERM.
"""

import signal
import sys
from importlib.metadata import entry_points
from typing import NoReturn

import typer

from unimol2_tasks.commands.artifacts import convert, verify
from unimol2_tasks.commands.benchmark import benchmark
from unimol2_tasks.commands.data import data_app
from unimol2_tasks.commands.doctor import doctor
from unimol2_tasks.commands.evaluate import evaluate
from unimol2_tasks.commands.plan import plan
from unimol2_tasks.commands.predict import embed, predict
from unimol2_tasks.commands.prepare import prepare
from unimol2_tasks.commands.replay import replay
from unimol2_tasks.commands.scaling import scaling_app
from unimol2_tasks.commands.search import search
from unimol2_tasks.commands.train import finetune, pretrain
from unimol2_tasks.console import console, log_to_console
from unimol2_tasks.errors import TrainingFailed, UserError

app = typer.Typer(
    name="unimol2",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Uni-Mol2: from a table of molecules to a pretrained model, a predictor and its report.",
    epilog="Every --out, --dataset, --model, --predictor and --input may be a path or an s3:// address; "
    "endpoint and keys come from the AWS environment.",
)
app.add_typer(scaling_app, name="scaling")
app.add_typer(data_app, name="data")
for command in (
    prepare,
    pretrain,
    finetune,
    search,
    evaluate,
    predict,
    embed,
    convert,
    verify,
    doctor,
    replay,
    plan,
    benchmark,
):
    app.command()(command)


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


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))


if __name__ == "__main__":
    main()
