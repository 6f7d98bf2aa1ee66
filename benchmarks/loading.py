"""How many samples per second and core the training loader makes, and how many the reference's way makes.

The reference parses a SMILES, adds and removes hydrogens, computes the features and runs Floyd-Warshall at
every access to every sample; here that happens once, and a sample is decoded from memory that is mapped from
disk. Both sides are corrupted and collated alike, in the batches of similar molecules that training draws.
Rates are samples per second of CPU time of one thread, so that other work on the machine counts little;
repetitions alternate between the sides. The process runs with the settings that training gives to its own
(WORKER_DEFAULTS of training/supervisor.py), on both sides.
"""

import argparse
import gzip
import os

os.environ["OMP_NUM_THREADS"] = "1"

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rich.console import Console
from rich.table import Table

from unimol2_model.batch import MoleculeBatch
from unimol2_tasks.chemistry.features import UNREACHABLE, graph_features
from unimol2_tasks.datasets.collation import LabelledSamples, PretrainingSamples, loader
from unimol2_tasks.datasets.corruption import corrupt
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.order import Order, Visit
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.params import PrepareParams, PretrainParams
from unimol2_tasks.stages import prepare
from unimol2_tasks.training.supervisor import WORKER_DEFAULTS

ROOT = Path(__file__).parents[1]
DRUGLIKE = ROOT.parent / "shared" / "data" / "unlabelled" / "druglike_smiles.csv.gz"
EMBEDDED = ROOT / "data" / "demo" / "library.csv"
KINDS = ("labelled", "pretraining")
LEAST, RATIO = 5000, 5

Plan = list[list[Visit]]


def main() -> None:
    """Print the rates of each kind of sample."""
    table = DRUGLIKE if DRUGLIKE.is_file() else EMBEDDED
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--table", type=Path, default=table, help=f"CSV file, plain or gzip (default: {table})"
    )
    parser.add_argument("--dataset", type=Path, help="a prepared dataset instead of a table")
    parser.add_argument("--sample", type=int, default=2000, help="rows of the table to take (default: 2000)")
    parser.add_argument("--conformers", type=int, default=1, help="per molecule (default: 1)")
    parser.add_argument("--batch", type=int, default=64, help="molecules per batch (default: 64)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each measurement (default: 5)")
    parser.add_argument(
        "--workers", type=int, default=2, help="loader processes of the last row (default: 2)"
    )
    parser.add_argument("--quick", action="store_true", help="a few hundred molecules, two repetitions")
    options = parser.parse_args()
    if options.quick:
        options.sample, options.repetitions = 300, 2
    torch.set_num_threads(1)
    rdBase.DisableLog("rdApp.*")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = options.dataset or prepared(options.table, options.sample, options.conformers, folder)
        dataset, opening = opened(source, folder / "cache")
        plan = batches_of(dataset, options.batch)
        rates = measure(makers(dataset), plan, options.repetitions)
        together = loaded(dataset, plan * options.repetitions, options.workers)
    show(dataset, rates, options.batch, opening, (options.workers, together))


def prepared(table: Path, rows: int, conformers: int, folder: Path) -> Path:
    """The dataset of `rows` random rows, the same each time."""
    with gzip.open(table, "rt", encoding="utf-8") if table.suffix == ".gz" else table.open() as file:
        header, *lines = file.read().splitlines()
    sample = folder / "sample.csv"
    chosen = random.Random(0).sample(lines, min(rows, len(lines)))
    sample.write_text("\n".join([header, *chosen]) + "\n", encoding="utf-8")
    params = PrepareParams(conformers=conformers, split="random")
    prepare.run(params, prepare.PrepareInputs(str(sample), label_columns=()), str(folder / "dataset"))
    return folder / "dataset"


def opened(source: Path, cache: Path) -> tuple[MoleculeDataset, tuple[float, float]]:
    """The dataset, with the seconds that opening it took at first and again."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        dataset = open_dataset(source, cache)
        seconds.append(time.perf_counter() - start)
    return dataset, (seconds[0], seconds[1])


def batches_of(dataset: MoleculeDataset, size: int) -> Plan:
    """One epoch of full batches as training draws them, of one seed."""
    order = Order(np.arange(len(dataset)), 0, np.asarray(dataset.atoms))
    return [order.batch(step, size) for step in range(len(dataset) // size)]


def makers(dataset: MoleculeDataset) -> dict[tuple[str, str], Callable[[list[Visit]], object]]:
    """What makes a batch from visits, by kind of sample and by side."""
    params = PretrainParams()
    labelled = LabelledSamples(dataset, np.array([], dtype=np.int64), seed=0)
    parsed = [dataset.record(index) for index in range(len(dataset))]

    def reference(visits: list[Visit]) -> MoleculeBatch:
        return MoleculeBatch.collate(
            [parse_and_featurise(parsed[visit.index]).molecule() for visit in visits]
        )

    def reference_corrupted(visits: list[Visit]) -> MoleculeBatch:
        records = [parse_and_featurise(parsed[visit.index]) for visit in visits]
        return MoleculeBatch.collate(corrupt(records, params, visits))

    return {
        (KINDS[0], "ours"): labelled.__getitem__,
        (KINDS[0], "reference"): reference,
        (KINDS[1], "ours"): PretrainingSamples(dataset, params).__getitem__,
        (KINDS[1], "reference"): reference_corrupted,
    }


def parse_and_featurise(record: MoleculeRecord) -> MoleculeRecord:
    """The molecule with its graph made anew, as the reference does; coordinates it stores too."""
    mol = Chem.RemoveAllHs(Chem.AddHs(Chem.MolFromSmiles(record.smiles)))
    # RDKit's own path lengths, which `graph_features` takes, are a small part of its time.
    graph = replace(graph_features(mol), path_lengths=floyd_warshall(Chem.GetAdjacencyMatrix(mol)))
    return replace(record, graph=graph)


def floyd_warshall(adjacency: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Shortest paths in bonds + 1; one pass over the matrix per atom, each in numpy."""
    lengths = np.where(adjacency > 0, 1, UNREACHABLE - 1)
    np.fill_diagonal(lengths, 0)
    for atom in range(len(lengths)):
        np.minimum(lengths, lengths[:, atom, None] + lengths[atom], out=lengths)
    return (lengths + 1).astype(np.uint16)


def measure(
    sides: dict[tuple[str, str], Callable[[list[Visit]], object]], plan: Plan, repetitions: int
) -> dict[tuple[str, str], float]:
    """Median samples per second of CPU time; a first round warms up and is not counted."""
    rates: dict[tuple[str, str], list[float]] = {side: [] for side in sides}
    for repetition in range(repetitions + 1):
        for side, make in sides.items():
            start = time.process_time()
            for visits in plan:
                make(visits)
            if repetition:
                rates[side].append(sum(map(len, plan)) / (time.process_time() - start))
    return {side: statistics.median(values) for side, values in rates.items()}


def loaded(dataset: MoleculeDataset, plan: Plan, workers: int) -> float:
    """Pretraining samples per second that arrive from worker processes, after the first batch."""
    batches = loader(PretrainingSamples(dataset, PretrainParams()), plan, workers)
    next(batches)
    start = time.perf_counter()
    arrived = sum(batch.molecules.size for batch in batches)
    return arrived / (time.perf_counter() - start)


def show(
    dataset: MoleculeDataset,
    rates: dict[tuple[str, str], float],
    batch: int,
    opening: tuple[float, float],
    together: tuple[int, float],
) -> None:
    """Print the table."""
    title = (
        f"Samples per second and core: {len(dataset)} molecules of {np.mean(dataset.atoms):.0f} heavy atoms, "
        f"batches of {batch}"
    )
    table = Table("samples", "ours", "reference", "ratio", "wanted", "reached", title=title)
    for kind in KINDS:
        ours, reference = rates[kind, "ours"], rates[kind, "reference"]
        reached = "yes" if ours >= LEAST and ours >= RATIO * reference else "no"
        wanted = f"≥ {LEAST:,} and {RATIO}×"
        table.add_row(kind, f"{ours:,.0f}", f"{reference:,.0f}", f"{ours / reference:.1f}×", wanted, reached)
    table.caption = (
        f"{together[0]} worker processes deliver {together[1]:,.0f} pretraining samples per second; "
        f"opening: first {opening[0]:.2f} s, again {1000 * opening[1]:.0f} ms"
    )
    Console().print(table)


if __name__ == "__main__":
    if not WORKER_DEFAULTS.keys() <= os.environ.keys():
        # The allocator reads its settings when a process starts.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **WORKER_DEFAULTS})  # noqa: S606
    main()
