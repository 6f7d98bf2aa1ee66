"""DuckDB against polars at merging duplicates: seconds, peak memory, bytes on disk.

Both merge the same synthetic rows (random keys, one label, in files as a preparation leaves them) by the mean
and write the same two tables, each in a process of its own. DuckDB runs as the preparation runs it, polars by
its streaming engine. Peak memory is the process's largest resident set, of which an interpreter with these
libraries is the first part; spilled is the most that lay in its temporary folder.
"""

import argparse
import hashlib
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from unimol2_tasks.datasets.duplicates import DuplicateRule, deduplicate
from unimol2_tasks.datasets.identified import identified_schema

LABEL = "value"
WATCH_SECONDS = 0.05
Result = TypeVar("Result")


class Cost(NamedTuple):
    """What one side took."""

    seconds: float
    peak_mib: float
    spilled_mib: float
    molecules: int
    duplicates: int
    digest: str
    """Of the numbers of the rows in both tables, in their order."""


def main() -> None:
    """Print one row per library and memory limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000_000], help="(default: 5 million)")
    parser.add_argument("--duplicates", type=float, default=0.1, help="share of the rows (default: 0.1)")
    parser.add_argument("--unit-rows", type=int, default=50_000, help="per file (default: 50,000)")
    parser.add_argument(
        "--memory-limits", nargs="+", default=["1GiB", "256MiB"], help="of DuckDB (default: 1GiB 256MiB)"
    )
    parser.add_argument("--work", type=Path, help="folder for the tables (default: the system's)")
    options = parser.parse_args()
    title = f"{options.duplicates:.0%} duplicates, one label, {len(os.sched_getaffinity(0))} cores"
    table = Table("rows", "library", "seconds", "peak memory", "spilled", "molecules", title=title)
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            files = in_own_process(
                partial(write_rows, Path(folder), rows, options.duplicates, options.unit_rows)
            )
            compare(table, files, Path(folder), rows, options.memory_limits)
    Console().print(table)


def compare(table: Table, files: list[Path], folder: Path, rows: int, memory_limits: Sequence[str]) -> None:
    """Add the rows of both libraries, which must have merged the same."""
    sides: dict[str, Callable[..., None]] = {
        f"DuckDB, limit {limit}": partial(by_duckdb, memory_limit=limit) for limit in memory_limits
    }
    sides["polars, streaming"] = by_polars
    results = set()
    for name, side in sides.items():
        cost = in_own_process(partial(measure, side, files, folder))
        results.add((cost.molecules, cost.duplicates, cost.digest))
        shown = (f"{cost.seconds:.1f}", f"{cost.peak_mib:.0f} MiB", f"{cost.spilled_mib:.0f} MiB")
        table.add_row(f"{rows:,}", name, *shown, f"{cost.molecules:,}")
    if len(results) > 1:
        raise AssertionError(f"the libraries merged different rows: {results}")


def write_rows(folder: Path, rows: int, duplicates: float, unit_rows: int) -> list[Path]:
    """Write identified rows, of which a share has the key of another row."""
    random = np.random.default_rng(0)
    molecules = rows - int(rows * duplicates)
    chosen = np.concatenate([np.arange(molecules), random.integers(0, molecules, rows - molecules)])
    random.shuffle(chosen)
    files = []
    for start in range(0, rows, unit_rows):
        keys = random_keys(chosen[start : start + unit_rows])
        given = {
            "row": pa.array(np.arange(start, start + len(keys)) + 1, pa.uint64()),
            # As long as a SMILES; shown in the ledger only.
            "input": pa.array([key * 2 for key in keys]),
            "inchikey": pa.array(keys),
            f"label:{LABEL}": pa.array(random.normal(size=len(keys)).round(3)),
        }
        schema = identified_schema([LABEL])
        columns = [given.get(field.name, pa.nulls(len(keys), field.type)) for field in schema]
        files.append(folder / f"unit-{start // unit_rows:06d}.parquet")
        pq.write_table(pa.table(columns, schema=schema), files[-1], compression="zstd")
    return files


def random_keys(molecules: NDArray[np.int64]) -> list[str]:
    """Keys of InChIKey shape, the same for the same number."""
    # SplitMix64 (Steele, Lea, Flood 2014) of 25 counters per key.
    bits = (molecules[:, None] * 25 + np.arange(25)).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    letters = ((bits ^ (bits >> np.uint64(31))) % 26 + ord("A")).astype(np.uint8)
    dashed = np.insert(letters, (14, 24), ord("-"), axis=1)
    return [key.decode() for key in np.ascontiguousarray(dashed).view("S27").ravel()]


def by_duckdb(files: list[Path], kept: Path, rejected: Path, temporary: Path, memory_limit: str) -> None:
    rule = DuplicateRule("inchikey", "mean", 0.0)
    deduplicate(files, kept, rejected, rule, [LABEL], temporary=temporary, memory_limit=memory_limit)


def by_polars(files: list[Path], kept: Path, rejected: Path, temporary: Path) -> None:
    os.environ["POLARS_TEMP_DIR"] = str(temporary)
    usable = pl.scan_parquet(files, glob=False).filter(pl.col("reason").is_null())
    groups = usable.group_by("inchikey").agg(first=pl.col("row").min(), label=pl.col(f"label:{LABEL}").mean())
    stays = groups.select(row="first", **{f"label:{LABEL}": "label"}).sort("row")
    merged = (
        usable.join(groups, on="inchikey")
        .filter(pl.col("row") != pl.col("first"))
        .select("row", "input", stage=pl.lit("deduplicate"), reason=pl.format("duplicate of row {}", "first"))
        .sort("row")
    )
    for table, path in ((stays, kept), (merged, rejected)):
        table.sink_parquet(path, engine="streaming")


def measure(side: Callable[..., None], files: list[Path], folder: Path) -> Cost:
    """Run one side in this process and read its results back."""
    kept, rejected = folder / "kept.parquet", folder / "rejected.parquet"
    with tempfile.TemporaryDirectory(dir=folder) as temporary, watched(Path(temporary)) as sizes:
        start = time.perf_counter()
        side(files, kept, rejected, Path(temporary))
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    rows = [pq.read_table(path, columns=["row"])["row"].to_numpy() for path in (kept, rejected)]
    digest = hashlib.sha256(b"".join(numbers.tobytes() for numbers in rows)).hexdigest()
    return Cost(seconds, peak, max(sizes) / 2**20, len(rows[0]), len(rows[1]), digest)


@contextmanager
def watched(folder: Path) -> Iterator[list[int]]:
    """Note the size of what lies in a folder, again and again."""
    sizes = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(WATCH_SECONDS):
            sizes.append(sum(size_of(path) for path in folder.rglob("*")))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sizes
    finally:
        done.set()
        thread.join()


def size_of(path: Path) -> int:
    # It may be gone since it was listed.
    with suppress(FileNotFoundError):
        return path.stat().st_blocks * 512
    return 0


def in_own_process(call: Callable[[], Result]) -> Result:
    """The call's result; a fresh process has a peak of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call).result()


if __name__ == "__main__":
    main()
