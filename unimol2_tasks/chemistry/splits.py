"""Which molecules train, validate and test."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np

from unimol2_tasks.params import SplitKind

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def assign_splits(
    kind: SplitKind, scaffolds: Sequence[str], valid_fraction: float, test_fraction: float, seed: int
) -> list[Split]:
    """Put every molecule into one split.

    Args:
        kind: `random`: each molecule by itself. `scaffold`: molecules with the same scaffold stay
            together, acyclic ones too; groups larger than half of the test (or validation) set train,
            the others are shuffled and fill the three splits evenly (the balanced scaffold split of
            chemprop).
        scaffolds: One per molecule, `""` for an acyclic one.
        valid_fraction: Wanted share of molecules for validation.
        test_fraction: Wanted share of molecules for the test.
        seed: Seeds the shuffle.

    Returns:
        One split per molecule. A requested split stays empty only where groups are too few.
    """
    groups = _groups(kind, scaffolds)
    wanted = _wanted_sizes(len(scaffolds), valid_fraction, test_fraction)
    members = _fill(groups, wanted, np.random.default_rng(seed))
    _fill_empty(members, wanted)
    splits: list[Split] = ["train"] * len(scaffolds)
    for split, held in members.items():
        for group in held:
            for index in group:
                splits[index] = split
    return splits


def _groups(kind: SplitKind, scaffolds: Sequence[str]) -> list[list[int]]:
    if kind == "random":
        return [[index] for index in range(len(scaffolds))]
    by_scaffold: dict[str, list[int]] = defaultdict(list)
    for index, scaffold in enumerate(scaffolds):
        by_scaffold[scaffold].append(index)
    return [by_scaffold[scaffold] for scaffold in sorted(by_scaffold)]


def _wanted_sizes(count: int, valid_fraction: float, test_fraction: float) -> dict[Split, int]:
    """Molecules per split; at least one where a share is asked for and train keeps one too."""
    test = min(max(round(count * test_fraction), test_fraction > 0), max(count - 1, 0))
    valid = min(max(round(count * valid_fraction), valid_fraction > 0), max(count - 1 - test, 0))
    return {"train": count - valid - test, "valid": valid, "test": test}


def _fill(
    groups: list[list[int]], wanted: dict[Split, int], rng: np.random.Generator
) -> dict[Split, list[list[int]]]:
    held_out = [wanted[split] for split in ("valid", "test") if wanted[split]]
    largest = max(1, min(held_out) // 2) if held_out else 0
    shuffled = [groups[place] for place in rng.permutation(len(groups))]
    members: dict[Split, list[list[int]]] = {split: [] for split in SPLITS}
    members["train"] = [group for group in shuffled if len(group) > largest]
    room = dict(wanted)
    room["train"] -= sum(len(group) for group in members["train"])
    for group in shuffled:
        if len(group) > largest:
            continue
        fitting = [split for split in SPLITS if room[split] >= len(group)] or ["train"]
        emptiest = max(fitting, key=lambda split: room[split] / max(wanted[split], 1))
        members[emptiest].append(group)
        room[emptiest] -= len(group)
    return members


def _fill_empty(members: dict[Split, list[list[int]]], wanted: dict[Split, int]) -> None:
    """Where every group was large, the smallest ones leave train for splits that got nothing."""
    for split in ("test", "valid"):
        if wanted[split] and not members[split] and len(members["train"]) > 1:
            smallest = min(members["train"], key=len)
            members["train"].remove(smallest)
            members[split].append(smallest)
