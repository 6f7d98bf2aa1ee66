"""Which jobs each side gets, and what comes out of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console

from benchmarks.comparison.contest import Entry, take_turns
from benchmarks.comparison.measuring import Job, Measure
from benchmarks.comparison.report import STEPS, Collation, Kind, Memory, Results, Speed, Step, describe_speed
from benchmarks.comparison.worker import Worker

# Relative; fp32 rounding through 12 blocks is some 1e-6.
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Case:
    """A set of molecules, and how each side batches it."""

    name: str
    kind: Kind
    molecules: str
    count: int
    batch: int
    pairs: int | None
    """Ours, instead of `batch`."""

    def peer_job(self, measure: Measure) -> Job:
        """What unimol_tools is given."""
        return Job(measure, self.molecules, batch=self.batch)

    def own_job(self, measure: Measure) -> Job:
        """What this network is given."""
        return Job(measure, self.molecules, batch=self.batch, pairs=self.pairs)


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes that are compared."""

    peer: Worker
    ours: Worker
    bf16: Worker | None


def compare_representations(workers: Workers, molecules: str) -> float:
    """Return the largest difference between the two sides' molecule tokens, relative to the largest value.

    Raises:
        SystemExit: it is more than rounding, so that times would compare two different functions.
    """
    job = Job("representation", molecules, batch=1)
    ours, theirs = (torch.tensor(worker.measure(job)) for worker in (workers.ours, workers.peer))
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    if not difference <= _TOLERANCE:
        raise SystemExit(f"the two networks compute different functions: {difference:.1e} relative")
    return difference


def measure(workers: Workers, cases: Sequence[Case], repetitions: int) -> Results:
    """Give every job of the cases to the workers, and print each result when it is there."""
    progress = Console(stderr=True)
    results = Results()
    for case in cases:
        for step in STEPS:
            with progress.status(f"{step}: {case.name}"):
                speed = measure_speed(workers, case, step, repetitions)
            progress.print(describe_speed(speed), highlight=False)
            results.speeds.append(speed)
        with progress.status(f"memory: {case.name}"):
            memory = measure_memory(workers, case)
        progress.print(f"{case.name}, memory: {memory.share:.2f} of theirs", highlight=False)
        results.memories.append(memory)
        if case.kind == "mixed sizes":
            results.collation = measure_collation(workers, case, speed, repetitions)
    return results


def measure_speed(workers: Workers, case: Case, step: Step, repetitions: int) -> Speed:
    own = case.own_job(step)
    entries = [Entry(workers.peer, case.peer_job(step)), Entry(workers.ours, own)]
    if case.pairs is not None and workers.bf16 is not None:
        entries.append(Entry(workers.bf16, own))
    peer, ours, *bf16 = take_turns(entries, repetitions)
    return Speed(step, case.name, case.kind, case.count, peer, ours, bf16[0] if bf16 else None)


def measure_collation(workers: Workers, case: Case, training: Speed, repetitions: int) -> Collation:
    entries = [
        Entry(workers.peer, case.peer_job("collation")),
        Entry(workers.ours, case.own_job("collation")),
    ]
    peer, ours = take_turns(entries, repetitions)
    return Collation(peer, training.peer, ours, training.ours)


def measure_memory(workers: Workers, case: Case) -> Memory:
    peer = workers.peer.measure(case.peer_job("memory"))
    ours = workers.ours.measure(case.own_job("memory"))
    return Memory(case.name, peer[0], peer[1], ours[0], ours[1])
