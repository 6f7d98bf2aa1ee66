"""`unimol2 convert` and `unimol2 verify`: artifacts as they are."""

from pathlib import Path
from typing import Annotated

import typer

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import say


def convert(
    source: Annotated[str, typer.Argument(help="A released checkpoint.pt, or a model.")],
    out: Annotated[str, typer.Argument(help="A new model, or a new checkpoint.pt.")],
) -> None:
    """Convert a released checkpoint to a model, or back, without changing a bit."""
    from unimol2_tasks.stages import convert as stage

    if source.endswith(".pt"):
        say(stage.from_released(Path(source), out, Store()))
    else:
        stage.to_released(source, Path(out), Store())
        typer.echo(out)


def verify(
    artifact: Annotated[str, typer.Argument(help="Any artifact, a folder or a file such as predictions.")],
) -> None:
    """Check an artifact: manifest, sizes, hashes, tables."""
    from unimol2_tasks.stages.verify import verify as check

    for line in check(artifact, Store()):
        typer.echo(line)
