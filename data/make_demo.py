"""Make the embedded data: `python data/make_demo.py --out data/demo` writes the same bytes at every run."""

import csv
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, fields
from pathlib import Path
from typing import Annotated

import typer
from grow_molecules import LABELLED_ATOMS, grow_molecules, inchikey
from label_molecules import LabellingError, Labels, label
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula
from rich.console import Console
from rich.progress import track

LIBRARY_ATOMS = 12
KNOWN_MOLECULES = Path(__file__).parent / "known_molecules.csv"


def make_demo(
    out: Annotated[Path, typer.Option(help="Folder that gets the three tables.")],
    workers: Annotated[int, typer.Option(help="Processes that compute labels.", min=1)] = 2,
) -> None:
    """Write molecules.csv (known and grown), labelled.csv (small, with GFN2-xTB labels) and library.csv."""
    # One thread each: sums in another order would move the last digits. The workers inherit this.
    os.environ["OMP_NUM_THREADS"] = "1"
    out.mkdir(parents=True, exist_ok=True)
    molecules = demo_molecules()
    labelled = list(_labelled(molecules, workers))
    _write(out / "molecules.csv", ("id", "smiles"), molecules)
    _write(out / "labelled.csv", ("id", "smiles", *(field.name for field in fields(Labels))), labelled)
    _write(out / "library.csv", ("id", "smiles"), library(molecules))
    Console().print(f"{len(molecules)} molecules, {len(labelled)} of them labelled, in {out}")


def demo_molecules() -> list[tuple[str, str]]:
    """List the identifier and canonical SMILES of every molecule of the embedded data, known ones first."""
    known = read_known_molecules(KNOWN_MOLECULES)
    keys = {inchikey(Chem.MolFromSmiles(smiles)) for _, smiles in known}
    grown = [s for s in grow_molecules() if inchikey(Chem.MolFromSmiles(s)) not in keys]
    return known + [(f"grown-{number:04d}", smiles) for number, smiles in enumerate(grown, start=1)]


def library(molecules: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """List the known molecules that are about as small as the labelled ones: something to predict."""
    return [
        row for row in molecules if not row[0].startswith("grown-") and _heavy_atoms(row[1]) <= LIBRARY_ATOMS
    ]


def read_known_molecules(path: Path) -> list[tuple[str, str]]:
    """Read drugs and natural products, each checked against the formula stated beside it.

    Args:
        path: a CSV file with the columns `id`, `formula` (Hill order) and `smiles`.

    Returns:
        Identifiers and canonical SMILES, in the file's order.

    Raises:
        ValueError: naming the row whose SMILES does not parse, has another formula, or repeats a molecule.
    """
    seen: dict[str, str] = {}
    molecules = []
    with path.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=1):
            mol = Chem.MolFromSmiles(row["smiles"])
            found = "no molecule" if mol is None else CalcMolFormula(mol)
            if found != row["formula"]:
                raise ValueError(
                    f"{path}: row {number} ({row['id']}): SMILES is {found}, not {row['formula']}"
                )
            if (key := inchikey(mol)) in seen:
                raise ValueError(f"{path}: row {number} ({row['id']}) is the same molecule as {seen[key]}")
            seen[key] = row["id"]
            molecules.append((row["id"], Chem.MolToSmiles(mol)))
    return molecules


def _labelled(molecules: Sequence[tuple[str, str]], workers: int) -> Iterator[tuple[str | float, ...]]:
    small = [
        row for row in molecules if row[0].startswith("grown-") and _heavy_atoms(row[1]) <= LABELLED_ATOMS
    ]
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawned) as pool:
        labels = pool.map(_label_or_reason, (smiles for _, smiles in small), chunksize=32)
        for (identifier, smiles), outcome in zip(small, track(labels, "GFN2-xTB", len(small)), strict=True):
            if isinstance(outcome, Labels):
                yield identifier, smiles, *(f"{value:.4f}" for value in astuple(outcome))
            else:
                Console().print(f"left out: {outcome}")


def _label_or_reason(smiles: str) -> Labels | str:
    try:
        return label(smiles)
    except LabellingError as error:
        return str(error)


def _heavy_atoms(smiles: str) -> int:
    return int(Chem.MolFromSmiles(smiles).GetNumAtoms())


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str | float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    typer.run(make_demo)
