"""What a reader of a benchmark's result has to know: molecules, splits, training."""

import json
from collections.abc import Iterator
from statistics import fmean
from typing import Any

import polars as pl

from unimol2_tasks.chemistry.split_names import SPLITS
from unimol2_tasks.datasets.benchmarks import Benchmark
from unimol2_tasks.stages.benchmarking.places import Places, read_if_there, training_seconds


def benchmark_notes(benchmark: Benchmark, places: Places) -> Iterator[str]:
    """Of everything that is there already."""
    if benchmark.note:
        yield benchmark.note
    for name in benchmark.tables:
        dataset = read_if_there(places.dataset(name))
        if dataset is not None and places.facts(name).is_file():
            yield _molecules(benchmark, name, places, dataset.params)
    yield from dict.fromkeys(_trainings(benchmark, places))


def _molecules(benchmark: Benchmark, name: str, places: Places, prepare: dict[str, Any]) -> str:
    facts = json.loads(places.facts(name).read_text(encoding="utf-8"))
    rows, subset = facts["rows"], facts["subset"]
    taken = (
        f"a subset, {rows['in']:,} of {facts['source_rows']:,} rows" if subset else f"all {rows['in']:,} rows"
    )
    splits = pl.read_parquet(places.dataset(name) / "splits.parquet")["split"]
    counts = {split: int((splits == split).sum()) for split in SPLITS}
    lists = benchmark.tables[name].lists is not None
    kind = "the published lists, a tenth of train validates" if lists else prepare["split"]
    geometry = (
        "published geometry" if prepare["coordinates"] == "keep" else f"{prepare['conformers']} conformers"
    )
    reject = f", {rows['rejects']} left out before" if rows["rejects"] else ""
    parts = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    return f"{name}: {taken}{reject}; {parts} molecules by {kind}; {geometry}"


def _trainings(benchmark: Benchmark, places: Places) -> Iterator[str]:
    for task in benchmark.tasks:
        for start in places.wanted_starts():
            manifest = read_if_there(places.predictor(task.name, start))
            if manifest is None:
                continue
            finetune = manifest.params["finetune"]
            seconds = training_seconds(task.name, start, places, manifest)
            known = [taken for taken in seconds.values() if taken is not None]
            took = f", {fmean(known):,.0f} s each" if known else ""
            yield (
                f"{task.name}, {start}: {counted(finetune['epochs'], 'epoch')} in batches of "
                f"{finetune['batch_size']} at {finetune['learning_rate']:g}, "
                f"{'with' if finetune['features'] else 'without'} atom and bond features, "
                f"{counted(len(seconds), 'seed')}{took}"
            )


def counted(number: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
