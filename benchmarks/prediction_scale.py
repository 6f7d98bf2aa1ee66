"""What predicting a table costs per row and keeps in memory, for tables of growing length.

A predictor with fresh weights predicts the first rows of a list of real molecules, over and over, each size
in a process of its own with the processes that it starts. Molecules get one conformer, since what ten cost is
known (benchmarks/conformers.py). Peak memory is the high-water mark (VmHWM) of the command's process, of the
largest process that prepares molecules, and of the one with the network. Linux only.
"""

import argparse
import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.comparison.memory import high_water_mark
from unimol2_model import save_weights
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.chemistry.applicability import TRAINING
from unimol2_tasks.chemistry.fingerprints import sparse_morgan_fingerprints
from unimol2_tasks.params import ModelParams, PrepareParams, parse_params
from unimol2_tasks.stages.predict import PredictInputs, run
from unimol2_tasks.training.network import TARGETS, WEIGHTS, new_property_model, write_config
from unimol2_tasks.training.predictor_files import VALIDATION, write_predictions
from unimol2_tasks.training.targets import Target, Targets

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
SOURCES = {
    "drug-like": DATA / "unlabelled" / "druglike_smiles.csv.gz",
    "small": ROOT / "data" / "demo" / "molecules.csv",
}
SAMPLING_SECONDS = 0.1
TRAINING_MOLECULES = 1000


def main() -> None:
    """Print a row per size of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000], help="sizes of the table")
    parser.add_argument("--molecules", choices=SOURCES, default="small", help="which (default: small)")
    parser.add_argument("--workers", type=int, default=2, help="processes that prepare (default: 2)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.workers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        smiles = list(islice(molecules(SOURCES[options.molecules]), max(options.rows)))
        write_predictor(Path(folder) / "predictor", list(dict.fromkeys(smiles))[:TRAINING_MOLECULES])
        results = [run_alone(options, Path(folder), smiles, rows) for rows in options.rows]
    show(results, options)


def molecules(source: Path) -> Iterator[str]:
    """Real SMILES, over and over."""
    stream = gzip.open(source, "rt") if source.suffix == ".gz" else source.open()  # noqa: SIM115
    with stream:
        return cycle([record["smiles"] for record in csv.DictReader(stream)])


def write_predictor(out: Path, training: list[str]) -> None:
    targets = Targets(targets=(Target(name="y", kind="regression"),), prepare=PrepareParams(conformers=1))
    store = Store()
    with store.draft(str(out)) as draft:
        network = new_property_model(ModelParams(preset="tiny"), None, targets, 0.0, 0)
        save_weights(network, draft / WEIGHTS)
        write_config(draft, network.config)
        (draft / TARGETS).write_text(targets.model_dump_json())
        packed = np.packbits(sparse_morgan_fingerprints(training).toarray().astype(np.bool_), axis=1)
        frame = {"id": training, "fingerprint": [row.tobytes() for row in packed]}
        pl.DataFrame(frame, schema={"id": pl.String, "fingerprint": pl.Binary}).write_parquet(
            draft / TRAINING
        )
        errors = np.linspace(0, 1, 100)[:, None]
        ids = [str(number) for number in range(100)]
        write_predictions(draft / VALIDATION, ids, np.zeros((100, 1)), errors, targets)
        store.publish(draft, str(out), Recipe("predictor", {}))


def run_alone(options: argparse.Namespace, folder: Path, smiles: list[str], rows: int) -> dict[str, Any]:
    """Measure in a process of its own, whose peak memory is that of this table alone."""
    table = folder / "table.csv"
    table.write_text("smiles\n" + "".join(f"{text}\n" for text in smiles[:rows]))
    command = [sys.executable, __file__, "--measure", str(folder), "--workers", str(options.workers)]
    # The settings of params.yaml in the working folder are not for this.
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for file in folder.glob("out.*"):
        file.unlink()
    return {"rows": rows, **result}


class PeakMemory:
    """High-water marks of this process and of those below it, in MiB."""

    def __init__(self) -> None:
        self.peaks = {"command": 0.0, "preparing": 0.0, "network": 0.0}
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def stop(self) -> dict[str, float]:
        """What was seen."""
        self._stop.set()
        self._watcher.join()
        return self.peaks

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._stop.wait(SAMPLING_SECONDS):
            self._note("command", process.pid)
            for child in process.children(recursive=True):
                try:
                    inferring = any("unimol2_tasks.training.worker" in word for word in child.cmdline())
                except psutil.NoSuchProcess:
                    continue
                self._note("network" if inferring else "preparing", child.pid)

    def _note(self, kind: str, pid: int) -> None:
        self.peaks[kind] = max(self.peaks[kind], high_water_mark(pid))


def measure(folder: Path, workers: int) -> dict[str, Any]:
    params = parse_params({"prepare": {"workers": workers}, "predict": {"threads": workers}})
    inputs = PredictInputs(str(folder / "predictor"), str(folder / "table.csv"))
    memory, begin = PeakMemory(), time.perf_counter()
    run(params, inputs, str(folder / "out.parquet"))
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, **memory.stop()}


def show(results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    kinds = ("command", "preparing", "network")
    title = f"{options.molecules} molecules, {options.workers} cores; peak MiB of a process"
    table = Table("rows", "s", "rows / s", *kinds, title=title)
    for result in results:
        table.add_row(
            f"{result['rows']:,}",
            f"{result['seconds']:,.0f}",
            f"{result['rows'] / result['seconds']:,.0f}",
            *(f"{result[kind]:,.0f}" for kind in kinds),
        )
    console = Console()
    console.print(table)
    first, last = results[0], results[-1]
    growth = ", ".join(f"{kind} × {last[kind] / first[kind]:.2f}" for kind in kinds)
    console.print(f"peak memory of {last['rows']:,} rows over that of {first['rows']:,}: {growth}")


if __name__ == "__main__":
    main()
