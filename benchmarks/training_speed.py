"""What the training loop costs above the bare steps of the network, and what its ranks take.

Every figure is of pretraining jobs that run as users run them: supervisor, launcher, one process per rank
with one CPU thread, DeepSpeed, the loader, the curve. Beside it, the same steps on the same batches in plain
PyTorch. The sides take turns; ratios are within one turn, and medians are shown. Molecules are a random
sample of the embedded table, or of a prepared dataset.

Memory is the peak of each of two ranks; Adam's moments are counted in the checkpoint and set beside
8 bytes × parameters, divided by the ranks from ZeRO 1 on.
"""

import argparse
import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.comparison.training_runs import Case, bare_rate, loop_figures, rank_memory
from unimol2_model import ModelConfig, UniMol2ForPretraining
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages import prepare

EMBEDDED = Path(__file__).parents[1] / "data" / "demo" / "molecules.csv"
# Of the smallest network, what is around the steps is the largest share.
SPEED = (Case("tiny", batch=64, steps=300), Case("42M", batch=16, steps=12))
QUICK_SPEED = (Case("tiny", batch=32, steps=20),)
MEMORY = Case("84M", batch=4, steps=4, ranks=2)
QUICK_MEMORY = replace(MEMORY, preset="tiny")
MOST_OVERHEAD, MOST_WAIT = 0.05, 0.03
MIB = 2**20
TABLES = ("loop", "ranks", "memory")


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a prepared dataset (default: made from the embedded)")
    parser.add_argument("--sample", type=int, default=600, help="molecules of the embedded (default: 600)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each measurement (default: 3)")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="which (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tiny network, few steps, once")
    options = parser.parse_args()
    if options.quick:
        options.sample, options.repetitions = 100, 1
    speed, memory = (QUICK_SPEED, QUICK_MEMORY) if options.quick else (SPEED, MEMORY)
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = (options.dataset or prepared(options.sample, folder)).absolute()
        if "loop" in options.tables:
            console.print(against_bare_steps(speed, dataset, folder, options.repetitions))
        if "ranks" in options.tables:
            console.print(from_one_rank_to_two(speed, dataset, folder, options.repetitions))
        if "memory" in options.tables:
            console.print(memory_by_stage(memory, dataset, folder))


def prepared(rows: int, folder: Path) -> Path:
    """The dataset of `rows` random rows of the embedded table, the same each time."""
    header, *lines = EMBEDDED.read_text(encoding="utf-8").splitlines()
    sample = folder / "sample.csv"
    chosen = random.Random(0).sample(lines, min(rows, len(lines)))
    sample.write_text("\n".join([header, *chosen]) + "\n", encoding="utf-8")
    params = PrepareParams(conformers=1, split="random")
    prepare.run(params, prepare.PrepareInputs(str(sample), label_columns=()), str(folder / "dataset"))
    return folder / "dataset"


def against_bare_steps(cases: Sequence[Case], dataset: Path, folder: Path, repetitions: int) -> Table:
    """Molecules per second with and without everything around the steps; batches made by a worker or not."""
    table = Table(
        "network", "batch", "steps", "loader workers", "bare / s", "loop / s", "overhead", "waiting",
        "wanted", "reached", title="The whole loop against bare steps: one rank, one thread, fp32",
    )  # fmt: skip
    for case in (replace(case, loader_workers=workers) for case in cases for workers in (0, 1)):
        rates, shares, waits = [], [], []
        for _ in range(repetitions):
            bare, loop = bare_rate(case, dataset, folder), loop_figures(case, dataset, folder)
            rates.append((bare, loop["molecules_per_second"]))
            shares.append(1 - loop["molecules_per_second"] / bare)
            waits.append(loop["data_wait_share"])
        overhead, wait = statistics.median(shares), statistics.median(waits)
        bare, rate = (statistics.median(side) for side in zip(*rates, strict=True))
        table.add_row(
            case.preset, str(case.batch), str(case.steps), str(case.loader_workers), f"{bare:,.1f}",
            f"{rate:,.1f}", f"{overhead:.1%}", f"{wait:.1%}", f"< {MOST_OVERHEAD:.0%}, < {MOST_WAIT:.0%}",
            "yes" if overhead < MOST_OVERHEAD and wait < MOST_WAIT else "no",
        )  # fmt: skip
    return table


def from_one_rank_to_two(cases: Sequence[Case], dataset: Path, folder: Path, repetitions: int) -> Table:
    """Molecules per second of one rank and of two, with the same global batch."""
    table = Table(
        "network", "batch", "one rank / s", "two ranks / s", "ratio",
        title="Two ranks against one: one thread each, the same global batch, fp32",
    )  # fmt: skip
    for case in cases:
        turns = [
            [
                loop_figures(replace(case, ranks=ranks), dataset, folder)["molecules_per_second"]
                for ranks in (1, 2)
            ]
            for _ in range(repetitions)
        ]
        one, two = (statistics.median(side) for side in zip(*turns, strict=True))
        ratio = statistics.median(two / one for one, two in turns)
        table.add_row(case.preset, str(case.batch), f"{one:,.1f}", f"{two:,.1f}", f"{ratio:.2f}×")
    return table


def memory_by_stage(case: Case, dataset: Path, folder: Path) -> Table:
    """Peak memory and optimiser state of each rank, by ZeRO stage."""
    with torch.device("meta"):
        network = UniMol2ForPretraining(ModelConfig.preset(case.preset))
    parameters = sum(weight.numel() for weight in network.parameters())
    table = Table(
        "ZeRO", "peak of rank 0", "of rank 1", "Adam's moments of rank 0", "of rank 1", "by the formula",
        title=f"MiB per rank: {case.preset}, {parameters:,} parameters, fp32, {case.ranks} ranks, "
        f"{case.batch // case.ranks} molecules each",
    )  # fmt: skip
    for stage in range(4):
        ranks = rank_memory(replace(case, zero_stage=stage), dataset, folder)
        formula = 8 * parameters / (case.ranks if stage else 1)
        numbers = [*(rank.peak for rank in ranks), *(rank.moments for rank in ranks), formula]
        table.add_row(str(stage), *(f"{number / MIB:,.1f}" for number in numbers))
    return table


if __name__ == "__main__":
    main()
