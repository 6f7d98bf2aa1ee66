"""`unimol2 replay`: why a run gave up, molecule by molecule."""

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.console import progress_bars
from unimol2_tasks.errors import UserError

if TYPE_CHECKING:
    import torch

    from unimol2_tasks.training.replay import ReplayedMolecule

_PARTS = ("loss", "atom_type", "coordinate", "distance")
_COLUMNS = ("id", "atoms", "reach", *_PARTS, "gradient", "verdict", "first not finite", "in fp32")


def replay(
    folder: Annotated[Path, typer.Argument(help="The folder diverged/ of a run that gave up.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="The run's dataset; default: where it was then.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu or cuda; default: a GPU where there is one.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Molecules shown, the worst first.")] = 20,
    table: Annotated[Path | None, typer.Option("--csv", help="A file for all of them, with SMILES.")] = None,
) -> None:
    """Run the batch at which pretraining gave up, one molecule at a time, and say what to do.

    Shown are losses and gradient norm of each molecule and, where these are not finite, what was not finite
    first and whether fp32 helps.
    """
    from unimol2_tasks.training.divergence import advice
    from unimol2_tasks.training.replay import read_diverged
    from unimol2_tasks.training.replay import replay as replay_batch

    place = None if dataset is None else Store().fetch(dataset, "dataset").path
    diverged = read_diverged(folder, place)
    chosen = _device(device)
    with progress_bars():
        molecules = replay_batch(diverged, chosen)
    console = Console()
    console.print(_table(sorted(molecules, key=_badness)[:rows], _title(diverged.batch.step, len(molecules))))
    console.print(escape(advice(diverged, molecules)), soft_wrap=True)
    if table is not None:
        _write(table, molecules)


def _device(name: str | None) -> "torch.device":
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise UserError(f"--device {name}: expected cpu, or cuda where this machine has such a GPU")
    return torch.device(name)


def _badness(molecule: "ReplayedMolecule") -> tuple[int, float]:
    """Smallest for what is to be shown first."""
    order = ("refused", "not finite", "overflow", "finite")
    norm = molecule.found.gradient_norm if molecule.found else math.inf
    return order.index(molecule.verdict), -math.inf if math.isnan(norm) else -norm


def _title(step: int, count: int) -> str:
    return f"The batch after step {step}: {count} molecules, each alone, without dropout"


def _table(molecules: "list[ReplayedMolecule]", title: str) -> Table:
    table = Table(title=title)
    for column in _COLUMNS:
        numeric = column in ("atoms", "reach", "gradient", *_PARTS)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for molecule in molecules:
        table.add_row(*(escape(cell) for cell in _cells(molecule)))
    table.caption = "reach: the largest coordinate, Å; gradient: norm over all weights"
    return table


def _cells(molecule: "ReplayedMolecule") -> list[str]:
    found = molecule.found
    losses = {} if found is None else found.losses
    norm = math.nan if found is None else found.gradient_norm
    numbers = [molecule.reach, *(losses.get(part, math.nan) for part in _PARTS), norm]
    origin = molecule.refused if found is None else (found.origin or "")
    again = ""
    if molecule.in_fp32 is not None:
        again = "finite" if molecule.in_fp32.finite else (molecule.in_fp32.origin or "not finite")
    formatted = [f"{number:.4g}" for number in numbers]
    return [molecule.id, str(molecule.atoms), *formatted, molecule.verdict, origin, again]


def _write(path: Path, molecules: "list[ReplayedMolecule]") -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["index", "smiles", *_COLUMNS])
        writer.writerows([molecule.index, molecule.smiles, *_cells(molecule)] for molecule in molecules)
