"""What standardising, merging duplicates and featurising cost per row, and what they keep in memory.

The passes of the preparation run on a table and on the same table several times over, which is mostly
duplicates, each in a process of its own with its worker processes; conformers are left out, since their cost
is RDKit's (benchmarks/conformers.py). Peak memory is the high-water mark of each process (VmHWM).
Linux only.
"""

import argparse
import csv
import gzip
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from rdkit import Chem
from rich.console import Console
from rich.table import Table

from benchmarks.comparison.memory import high_water_mark
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.chemistry.features import GraphFeatures, graph_features
from unimol2_tasks.chemistry.preparation import Identity
from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.readers import read_table
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages.preparation.passes import Passes
from unimol2_tasks.stages.preparation.units import BuildUnit, built_name, work_here

ROOT = Path(__file__).parents[1]
UNLABELLED = ROOT.parent / "shared" / "data" / "unlabelled" / "druglike_smiles.csv.gz"
DEMO = ROOT / "data" / "demo" / "molecules.csv"
SAMPLING_SECONDS = 0.05


def main() -> None:
    """Print a row per size of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=150_000, help="of the table (default: 150000)")
    parser.add_argument(
        "--times", type=int, nargs="+", default=[1, 10], help="how often over (default: 1 10)"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.workers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = [run_alone(options, times, Path(folder)) for times in options.times]
    show(results, options)


def run_alone(options: argparse.Namespace, times: int, folder: Path) -> dict[str, Any]:
    """Measure in a process of its own, whose peak memory is that of this table alone."""
    table = folder / f"{times}.csv"
    write_table(table, options.rows, times)
    command = [sys.executable, __file__, "--measure", str(table), "--workers", str(options.workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    table.unlink()
    return result


def write_table(path: Path, rows: int, times: int) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write("smiles\n")
        for _ in range(times):
            stream.writelines(smiles + "\n" for smiles in molecules(rows))


def molecules(rows: int) -> Iterator[str]:
    """Real SMILES: drug-like ones where the shared data is, else the embedded ones."""
    source = gzip.open(UNLABELLED, "rt") if UNLABELLED.is_file() else DEMO.open()  # noqa: SIM115
    with source as stream:
        for number, record in enumerate(csv.DictReader(stream)):
            if number == rows:
                return
            yield record["smiles"]


class FeatureUnit(BuildUnit):
    """Features without conformers."""

    __slots__ = ()

    @property
    def function(self) -> Callable[[Any], Any]:
        """Features from the canonical SMILES."""
        return featurise

    def write(self, results: list[Any]) -> None:
        """Leave a file, as a unit does."""
        with self.workspace.new(built_name(self.number)) as path:
            path.write_bytes(b"".join(features.path_lengths.tobytes() for features in results))


def featurise(identity: Identity) -> GraphFeatures:
    return graph_features(Chem.MolFromSmiles(identity.smiles))


@dataclass
class PeakMemory:
    """High-water marks of this process and of those below it, in MiB."""

    main: float = 0.0
    worker: float = 0.0

    def watch(self, stop: threading.Event) -> None:
        """Look again and again until `stop` is set."""
        process = psutil.Process()
        while not stop.wait(SAMPLING_SECONDS):
            self.main = max(self.main, high_water_mark(process.pid))
            children = process.children(recursive=True)
            self.worker = max([self.worker, *(high_water_mark(child.pid) for child in children)])


def measure(table: Path, workers: int) -> dict[str, Any]:
    params = PrepareParams(workers=workers)
    peaks, stop = PeakMemory(), threading.Event()
    watcher = threading.Thread(target=peaks.watch, args=(stop,))
    watcher.start()
    with tempfile.TemporaryDirectory() as folder:
        store = Store()
        workspace = Workspace(folder, store)
        source = read_table(str(table), ColumnChoice(labels=()), store)
        passes = Passes(params, source, workspace, partial(work_here, workers=workers))
        seconds, begin = {}, time.perf_counter()
        units = passes.identify()
        seconds["standardise"] = time.perf_counter() - begin
        begin = time.perf_counter()
        counts = passes.deduplicate(units)
        seconds["deduplicate"] = time.perf_counter() - begin
        begin = time.perf_counter()
        pending = (FeatureUnit(number, workspace, params, ()) for number in range(units.number))
        for _ in work_here(pending, workers):
            pass
        seconds["features"] = time.perf_counter() - begin
    stop.set()
    watcher.join()
    return {
        "rows": units.rows,
        "molecules": counts.molecules,
        "seconds": seconds,
        "main": peaks.main,
        "worker": peaks.worker,
    }


def show(results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    title = f"{options.workers} workers; rows / s / core of each pass, peak MiB of each process"
    table = Table(
        "rows", "molecules", "standardise", "deduplicate", "features", "s", "main", "worker", title=title
    )
    for result in results:
        seconds = result["seconds"]
        rates = [
            result["rows"] / seconds["standardise"] / options.workers,
            result["rows"] / seconds["deduplicate"],
            result["molecules"] / seconds["features"] / options.workers,
        ]
        table.add_row(
            f"{result['rows']:,}",
            f"{result['molecules']:,}",
            *(f"{rate:,.0f}" for rate in rates),
            f"{sum(seconds.values()):,.1f}",
            f"{result['main']:,.0f}",
            f"{result['worker']:,.0f}",
        )
    console = Console()
    console.print(table)
    first, last = results[0], results[-1]
    growth = [last[process] / first[process] - 1 for process in ("main", "worker")]
    per_row = [
        sum(result["seconds"][name] for name in ("standardise", "deduplicate")) / result["rows"]
        for result in (first, last)
    ]
    console.print(
        f"peak memory grows by {growth[0]:+.1%} (main) and {growth[1]:+.1%} (worker); "
        f"time per row of the passes over all rows by {per_row[1] / per_row[0] - 1:+.1%}"
    )


if __name__ == "__main__":
    main()
