"""How preparation (standardise, embed, relax, featurise) scales with the number of worker processes.

The whole step runs each time, from the table to the published dataset, on a random sample of the embedded
molecules. Repetitions alternate between the numbers of workers, so that whatever else the machine does falls
on all of them.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages import prepare

MOLECULES = Path(__file__).parents[1] / "data" / "demo" / "molecules.csv"


def main() -> None:
    """Print one row per number of workers."""
    cores = len(os.sched_getaffinity(0))
    numbers = [number for number in (1, 2, 4, 8, 16, 32) if number <= cores]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", type=Path, default=MOLECULES, help="CSV file (default: the embedded one)")
    parser.add_argument("--sample", type=int, default=400, help="rows to take (default: 400)")
    parser.add_argument("--conformers", type=int, default=1, help="per molecule (default: 1)")
    parser.add_argument("--workers", type=int, nargs="+", default=numbers, help="numbers of processes to try")
    parser.add_argument("--repetitions", type=int, default=3, help="of each measurement (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sample = take_sample(options.table, options.sample, Path(folder))
        rates = measure(sample, options.workers, options.conformers, options.repetitions)
    title = f"{options.sample} molecules, conformers: {options.conformers}, cores: {cores}"
    table = Table("workers", "molecules / s", "speed-up", "per worker", title=title)
    alone = rates[options.workers[0]] / options.workers[0]
    for workers, rate in rates.items():
        table.add_row(str(workers), f"{rate:.0f}", f"{rate / alone:.2f}×", f"{rate / alone / workers:.0%}")
    Console().print(table)


def take_sample(table: Path, rows: int, folder: Path) -> Path:
    """Write the header and `rows` random rows of a CSV file, the same each time."""
    header, *lines = table.read_text(encoding="utf-8").splitlines()
    sample = folder / "sample.csv"
    chosen = random.Random(0).sample(lines, min(rows, len(lines)))
    sample.write_text("\n".join([header, *chosen]) + "\n", encoding="utf-8")
    return sample


def measure(sample: Path, workers: list[int], conformers: int, repetitions: int) -> dict[int, float]:
    """Molecules per second by number of workers: medians; one run at first warms up."""
    rates: dict[int, list[float]] = {number: [] for number in workers}
    molecules_per_second(sample, workers[-1], conformers, sample.parent / "warm-up")
    for repetition in range(repetitions):
        for number in workers:
            out = sample.parent / f"{repetition}-{number}"
            rates[number].append(molecules_per_second(sample, number, conformers, out))
    return {number: statistics.median(values) for number, values in rates.items()}


def molecules_per_second(sample: Path, workers: int, conformers: int, out: Path) -> float:
    params = PrepareParams(conformers=conformers, workers=workers)
    inputs = prepare.PrepareInputs(str(sample), label_columns=())
    start = time.perf_counter()
    prepare.run(params, inputs, str(out))
    return len(sample.read_text(encoding="utf-8").splitlines()[1:]) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
