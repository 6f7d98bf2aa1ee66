"""This network against UniMolV2Model of unimol_tools 0.1.6: 84M, the same weights and molecules, CPU.

Each side works in a process and an environment of its own, one at a time, and their repetitions alternate, so
that whatever else the machine does falls on both; ratios are ratios of medians.

Molecules of mixed sizes go to each side as its users' do: to unimol_tools in the order of the file, 16 to a
batch (the default of its MolTrain, which MolPredict takes over from the trained model); to ours sorted by
size, with a limit on the padded pairs of a batch. So do molecules of one size; those of the last size go to
both in the same batches as well.
A training step is forward with dropout, mean squared error and backward, without an optimiser. Times
include collation.

Our processes get the environment that training and prediction of unimol2_tasks give theirs, in which freed
memory is kept; with --peer-allocator those of unimol_tools get it too. A GLIBC_TUNABLES that is set already
holds for both instead.

The environment of unimol_tools is made at benchmarks/peers/unimol_tools/.venv where it is absent.
Linux only, since peak memory is read from /proc.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.comparison.environment import peer_python
from benchmarks.comparison.machine import bf16_instructions, matmul_rate
from benchmarks.comparison.matches import Case, Workers, compare_representations, measure
from benchmarks.comparison.measuring import CLOCKS, Clock
from benchmarks.comparison.molecule_sets import Arrays, write_sets
from benchmarks.comparison.molecules import drug_like_molecules, mixed_set, uniform_set
from benchmarks.comparison.network import SIZE, write_random_weights
from benchmarks.comparison.report import PEER, collation_table, memory_table, speed_table, target_table
from benchmarks.comparison.worker import Inputs, Worker
from unimol2_tasks.training.supervisor import WORKER_DEFAULTS

PEER_FOLDER = Path(__file__).parent / "peers" / "unimol_tools"
# `batch_size` of unimol_tools.train.MolTrain.
PEER_BATCH = 16
MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    mixed: int
    """Molecules of mixed sizes."""
    uniform: int
    """Molecules of each single size."""
    sizes: tuple[int, ...]
    batches: tuple[int, ...]
    """Of the molecules of the last size, the same on both sides."""
    repetitions: int


FULL = Plan(mixed=64, uniform=16, sizes=(21, 31), batches=(4, 16), repetitions=3)
QUICK = Plan(mixed=8, uniform=4, sizes=(21,), batches=(4,), repetitions=1)


def main() -> None:
    """Print a table per question, then the targets."""
    parser = make_parser()
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    if options.repetitions is not None:
        plan = replace(plan, repetitions=options.repetitions)
    cases = [case for case in make_cases(plan, options.pairs) if options.cases in case.name]
    if not cases:
        names = "; ".join(case.name for case in make_cases(plan, options.pairs))
        parser.error(f"--cases: no case's name contains {options.cases!r}; there are: {names}")
    # Not resolved: the interpreter of a virtual environment is a link out of it.
    python = options.peer_python.absolute() if options.peer_python else peer_python(PEER_FOLDER)
    console = Console(width=100)
    console.print(describe_machine(options.threads))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        inputs = prepare(plan, Path(folder), options.threads, options.clock)
        peer_defaults = WORKER_DEFAULTS if options.peer_allocator else {}
        workers = start(python, inputs, Path(folder), stack, peer_defaults)
        difference = compare_representations(workers, MIXED)
        results = measure(workers, cases, plan.repetitions)
    title, caption = describe_comparison(options, plan.repetitions, difference)
    console.print(speed_table(results.speeds, title, caption))
    console.print(memory_table(results.memories))
    if results.collation is not None:
        console.print(collation_table(results.collation, plan.mixed))
    console.print(target_table(results))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of each side (default: 2)")
    parser.add_argument(
        "--repetitions", type=int, help="after one that warms up (default: 3; with --quick 1)"
    )
    parser.add_argument("--pairs", type=int, default=4096, help="limit of our batches (default: 4096)")
    parser.add_argument("--peer-python", type=Path, help=f"of an environment that has {PEER} already")
    parser.add_argument(
        "--clock",
        choices=sorted(CLOCKS),
        default="wall",
        help="cpu: processor seconds, for a machine that others use, with --threads 1 (default: wall)",
    )
    parser.add_argument(
        "--peer-allocator", action="store_true", help=f"give {PEER} the memory settings of our workers too"
    )
    parser.add_argument(
        "--cases",
        default="",
        metavar="SUBSTRING",
        help="only the cases whose name contains it (default: all)",
    )
    parser.add_argument("--quick", action="store_true", help="few molecules, once: does it all work?")
    return parser


def describe_comparison(options: argparse.Namespace, repetitions: int, difference: float) -> tuple[str, str]:
    """Title and caption of the speeds."""
    title = f"{PEER} 0.1.6 in fp32 / ours: {SIZE}, {options.threads} threads, medians of {repetitions}"
    if options.clock == "cpu":
        title += ", per processor second"
    caption = (
        f"theirs {PEER_BATCH} at a time, ours at most {options.pairs} pairs, where nothing else is said\n"
        f"freed memory kept: by {'both' if options.peer_allocator else 'ours, as our workers do'}\n"
        f"same weights: a molecule's token, alone, differs by {difference:.0e} of its largest value"
    )
    return title, caption


def describe_machine(threads: int) -> str:
    torch.set_num_threads(threads)
    rates = [
        matmul_rate(precision, torch.device("cpu")) / 1e9 for precision in (torch.float32, torch.bfloat16)
    ]
    lines = [
        f"torch {torch.__version__}, {threads} threads",
        f"matrix product 4096 × 512 × 512: {rates[0]:.0f} GFLOP/s in fp32, {rates[1]:.0f} in bf16",
    ]
    if bf16_instructions() is None:
        lines.append("bf16 is left out: the processor has neither amx_bf16 nor avx512_bf16")
    return "\n".join(lines)


def prepare(plan: Plan, folder: Path, threads: int, clock: Clock) -> Inputs:
    """Write the molecules and the weights that every worker reads."""
    inputs = Inputs(folder / "weights.pt", folder / "molecules.npz", threads, clock)
    candidates = drug_like_molecules()
    sets: dict[str, list[Arrays]] = {MIXED: mixed_set(candidates, plan.mixed)}
    for atoms in plan.sizes:
        sets[str(atoms)] = uniform_set(candidates, atoms, plan.uniform)
    write_sets(inputs.molecules, sets)
    write_random_weights(inputs.weights)
    return inputs


def start(
    python: Path, inputs: Inputs, folder: Path, stack: ExitStack, peer_defaults: Mapping[str, str]
) -> Workers:
    """Start the workers, which end with the stack."""

    def own(precision: str) -> Worker:
        module, log = "benchmarks.comparison.network", folder / f"ours.{precision}.log"
        return stack.enter_context(
            Worker(Path(sys.executable), module, inputs, precision, log, WORKER_DEFAULTS)
        )

    module, log = "benchmarks.peers.unimol_tools.worker", folder / "peer.log"
    peer = stack.enter_context(Worker(python, module, inputs, "float32", log, peer_defaults))
    return Workers(peer, own("float32"), own("bfloat16") if bf16_instructions() else None)


def make_cases(plan: Plan, pairs: int) -> list[Case]:
    sizes = [str(atoms) for atoms in plan.sizes]
    return [
        Case(f"{plan.mixed} of mixed sizes", "mixed sizes", MIXED, plan.mixed, PEER_BATCH, pairs),
        *(
            Case(f"{size} atoms, own batches", "one size", size, plan.uniform, PEER_BATCH, pairs)
            for size in sizes
        ),
        *(
            Case(
                f"{sizes[-1]} atoms, both {batch} at a time",
                "one size, the same batches",
                sizes[-1],
                plan.uniform,
                batch,
                None,
            )
            for batch in plan.batches
        ),
    ]


if __name__ == "__main__":
    main()
