"""The same job given to several workers in turns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.comparison.measuring import Job
from benchmarks.comparison.worker import Worker


@dataclass(frozen=True, slots=True)
class Entry:
    """A worker with the job as it gets it."""

    worker: Worker
    job: Job


@dataclass(frozen=True, slots=True)
class Times:
    """What one entry took, s, repetition by repetition."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)

    def ratio_to(self, other: "Times") -> float:
        """How many times as long as another: a ratio of medians."""
        return self.median / other.median

    def ratios_to(self, other: "Times") -> list[float]:
        """The same of each repetition, which shows what else the machine did."""
        return [mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True)]


def take_turns(entries: Sequence[Entry], repetitions: int) -> list[Times]:
    """Measure every entry once in each repetition, in an order that turns round; one batch warms up."""
    seconds: list[list[float]] = [[] for _ in entries]
    for entry in entries:
        entry.worker.measure(replace(entry.job, warm_up=True))
    for repetition in range(repetitions):
        places = range(len(entries))
        for place in places if repetition % 2 else reversed(places):
            [taken] = entries[place].worker.measure(entries[place].job)
            seconds[place].append(taken)
    return [Times(tuple(measured)) for measured in seconds]
