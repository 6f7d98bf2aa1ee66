"""Results of the comparison with a peer, as tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from rich.table import Table

from benchmarks.comparison.contest import Times

PEER = "unimol_tools"
_COLLATION_SHARE = 0.03

Kind = Literal["mixed sizes", "one size", "one size, the same batches"]
"""Of a set of molecules; each side has its own batches but in the last."""
_WANTED: dict[Kind, int] = {"mixed sizes": 5, "one size": 3, "one size, the same batches": 3}
_WANTED_IN_BF16 = 8

Step = Literal["inference", "training"]
STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True, slots=True)
class Speed:
    """One measure on one set of molecules."""

    step: Step
    case: str
    kind: Kind
    molecules: int
    peer: Times
    ours: Times
    bf16: Times | None
    """Ours in bf16, where it was measured."""

    @property
    def sides(self) -> list[tuple[str, Times]]:
        """Ours by precision."""
        return [("fp32", self.ours), *([("bf16", self.bf16)] if self.bf16 else [])]


@dataclass(frozen=True, slots=True)
class Memory:
    """Peaks of a training step, MiB."""

    case: str
    peer_above: float
    """Above weights and gradients."""
    peer_all: float
    ours_above: float
    ours_all: float

    @property
    def share(self) -> float:
        """Ours of theirs, above weights and gradients."""
        return self.ours_above / self.peer_above


@dataclass(frozen=True, slots=True)
class Collation:
    """Seconds to collate a set, and to train on it."""

    peer: Times
    peer_training: Times
    ours: Times
    ours_training: Times

    @property
    def share(self) -> float:
        """Of our training step."""
        return self.ours.ratio_to(self.ours_training)


@dataclass(slots=True)
class Results:
    """All that was measured."""

    speeds: list[Speed] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    collation: Collation | None = None
    """Of molecules of mixed sizes, where they were measured."""


def describe_speed(speed: Speed) -> str:
    """One line with the ratios."""
    ratios = [f"{precision} {speed.peer.ratio_to(ours):.2f}×" for precision, ours in speed.sides]
    return f"{speed.case}, {speed.step}: {', '.join(ratios)}"


def speed_table(speeds: Sequence[Speed], title: str, caption: str) -> Table:
    """Molecules per second, and ratios of medians with the range of the single repetitions."""
    table = Table("molecules", "step", "ours in", title=title, caption=caption)
    for column in ("theirs", "ours", "ratio", "range"):
        table.add_column(column, justify="right", no_wrap=True)
    for speed in speeds:
        for precision, ours in speed.sides:
            rates = [f"{speed.molecules / times.median:.2f} / s" for times in (speed.peer, ours)]
            ratio, ratios = speed.peer.ratio_to(ours), speed.peer.ratios_to(ours)
            spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
            table.add_row(speed.case, speed.step, precision, *rates, f"{ratio:.2f}×", spread)
    return table


def memory_table(memories: Sequence[Memory]) -> Table:
    """Peaks in MiB: above weights and gradients, and in all."""
    title = "Peak memory of a training step above weights and gradients (in all), MiB, fp32"
    table = Table("molecules", title=title)
    for column in ("theirs", "ours", "ours / theirs"):
        table.add_column(column, justify="right")
    for memory in memories:
        table.add_row(
            memory.case,
            f"{memory.peer_above:.0f} ({memory.peer_all:.0f})",
            f"{memory.ours_above:.0f} ({memory.ours_all:.0f})",
            f"{memory.share:.2f}",
        )
    return table


def collation_table(collation: Collation, molecules: int) -> Table:
    """Milliseconds, and shares of the training step."""
    table = Table(
        "", "ms", "of its training step", title=f"Collation of {molecules} molecules of mixed sizes"
    )
    sides = (
        (PEER, collation.peer, collation.peer_training),
        ("ours", collation.ours, collation.ours_training),
    )
    for side, collating, training in sides:
        table.add_row(side, f"{collating.median * 1000:.1f}", f"{collating.ratio_to(training):.3%}")
    return table


def target_table(results: Results) -> Table:
    """Every target with what was measured; of several cases the one furthest from it."""
    table = Table("target", "wanted", "measured", "reached", title="Targets")
    for row in (*_speed_targets(results.speeds), *_memory_targets(results.memories)):
        table.add_row(*row)
    if results.collation is not None:
        share, name = results.collation.share, "collation, of our training step"
        table.add_row(name, "< 3 %", f"{share:.3%}", _word(share < _COLLATION_SHARE))
    return table


def _speed_targets(speeds: Sequence[Speed]) -> Iterator[tuple[str, str, str, str]]:
    for step in STEPS:
        for kind, wanted in _WANTED.items():
            chosen = [speed for speed in speeds if (speed.kind, speed.step) == (kind, step)]
            if chosen:
                yield _speed_target(f"{step}, {kind}", wanted, [(speed.peer, speed.ours) for speed in chosen])
        in_bf16 = [
            (speed.peer, speed.bf16)
            for speed in speeds
            if speed.kind == "mixed sizes" and speed.step == step and speed.bf16 is not None
        ]
        if in_bf16:
            yield _speed_target(f"{step}, mixed sizes, ours in bf16", _WANTED_IN_BF16, in_bf16)


def _speed_target(name: str, wanted: int, pairs: Sequence[tuple[Times, Times]]) -> tuple[str, str, str, str]:
    measured = min(peer.ratio_to(ours) for peer, ours in pairs)
    return name, f"≥ {wanted}×", f"{measured:.2f}×", _word(measured >= wanted)


def _memory_targets(memories: Sequence[Memory]) -> Iterator[tuple[str, str, str, str]]:
    for memory in memories:
        yield f"memory, {memory.case}", "≤ 0.50", f"{memory.share:.2f}", _word(memory.share <= 0.5)


def _word(reached: bool) -> str:
    return "yes" if reached else "no"
