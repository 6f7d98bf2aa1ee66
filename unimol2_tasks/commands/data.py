"""`unimol2 data …`: public data sets, listed and downloaded."""

import json
import re
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from unimol2_tasks.console import console, progress_bars
from unimol2_tasks.datasets.catalogue import PublicDataset, Target, catalogue, find_dataset
from unimol2_tasks.datasets.download import DATA_FOLDER, get_dataset

_COMMIT = re.compile(r"[0-9a-f]{40}")

data_app = typer.Typer(no_args_is_help=True, help="Public data sets: list them, download them verified.")


@data_app.command("list")
def list_datasets(
    as_json: Annotated[bool, typer.Option("--json", help="All that is known, for programs.")] = False,
) -> None:
    """Show the public data sets: size, targets and units, licence, usual split, source."""
    if as_json:
        known = [dataset.model_dump(mode="json") for dataset in catalogue()]
        typer.echo(json.dumps(known, indent=1, ensure_ascii=False))
        return
    table = Table(show_lines=True)
    table.add_column("name", no_wrap=True)
    table.add_column("rows", no_wrap=True, justify="right")
    table.add_column("targets", overflow="fold")
    table.add_column("split", no_wrap=True)
    table.add_column("source, licence", overflow="fold")
    for dataset in catalogue():
        table.add_row(*_cells(dataset))
    Console().print(table)


@data_app.command()
def get(
    name: Annotated[str, typer.Argument(help="A name that `unimol2 data list` shows.")],
    out: Annotated[
        Path, typer.Option("--out", help="Where data sets are kept; each in a folder of its name.")
    ] = DATA_FOLDER,
    mirror: Annotated[
        str | None,
        typer.Option(help="http://host that has the same files under the paths of their own addresses."),
    ] = None,
) -> None:
    """Download a data set and verify its sha256; run again, it resumes, or finds that all is there."""
    dataset = find_dataset(name)
    with progress_bars():
        table = get_dataset(name, out, mirror=mirror)
    typer.echo(str(table))
    for extra in dataset.extras:
        console.print(f"with it: {table.with_name(extra.filename)}", highlight=False, soft_wrap=True)
    console.print(
        f"licence: {dataset.licence}; cite https://doi.org/{dataset.doi}", markup=False, soft_wrap=True
    )
    console.print(dataset.prepare_command(table), highlight=False, markup=False, soft_wrap=True)


def _cells(dataset: PublicDataset) -> list[str]:
    by_unit = groupby(sorted(dataset.targets, key=_measure), key=_measure)
    targets = [f"{unit}: {', '.join(target.name for target in group)}" for unit, group in by_unit]
    return [
        dataset.name,
        f"{dataset.rows:,}",
        "\n".join(targets) or "none (pretraining)",
        dataset.split,
        f"{_origin(dataset)}\n{dataset.licence}",
    ]


def _origin(dataset: PublicDataset) -> str:
    if dataset.version is None:
        return dataset.source
    version = dataset.version[:10] if _COMMIT.fullmatch(dataset.version) else dataset.version
    return f"{dataset.source} @ {version}"


def _measure(target: Target) -> str:
    return target.unit or target.task
