"""Whole groups of molecules, distributed so that every part gets its share."""

import heapq

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.chemistry.split_names import SPLITS
from unimol2_tasks.errors import ParameterError

Parts = NDArray[np.uint8]
"""[molecules] Each molecule's part, a place in `SPLITS`."""
TRAIN, VALID, TEST = range(len(SPLITS))


def wanted_sizes(count: int, valid_fraction: float, test_fraction: float) -> tuple[int, int, int]:
    """Molecules for train, valid and test: at least one where a share is asked for and train keeps one."""
    test = min(max(round(count * test_fraction), test_fraction > 0), max(count - 1, 0))
    valid = min(max(round(count * valid_fraction), valid_fraction > 0), max(count - 1 - test, 0))
    return count - valid - test, valid, test


def balanced_split(
    groups: NDArray[np.intp], valid_fraction: float, test_fraction: float, rng: np.random.Generator
) -> Parts:
    """Put whole groups into train, valid and test.

    Groups larger than half of the test (or validation) set train; the others are shuffled and each goes where
    the largest share of the wanted size is still free (the balanced scaffold split of chemprop).

    Args:
        groups: [molecules] Group of each, from 0 without gaps.
        valid_fraction: Wanted share of molecules for validation.
        test_fraction: Wanted share of molecules for the test.
        rng: Shuffles the groups.

    Returns:
        A wanted part stays empty only where groups are too few.
    """
    sizes = np.bincount(groups)
    wanted = wanted_sizes(len(groups), valid_fraction, test_fraction)
    shuffled = rng.permutation(len(sizes))
    held_out = [size for size in wanted[VALID:] if size]
    is_large = sizes[shuffled] > (max(1, min(held_out) // 2) if held_out else 0)
    large, small = shuffled[is_large], shuffled[~is_large]
    parts = np.full(len(sizes), TRAIN, np.uint8)
    parts[small] = _fill(sizes[small].tolist(), wanted, int(sizes[large].sum()))
    _fill_empty(parts, sizes, np.concatenate([large, small]), wanted)
    return parts[groups]


def _fill(sizes: list[int], wanted: tuple[int, int, int], training: int) -> list[int]:
    """The part of each group, where `training` molecules train already."""
    room = [wanted[TRAIN] - training, wanted[VALID], wanted[TEST]]
    whole = [max(size, 1) for size in wanted]
    parts = []
    for size in sizes:
        emptiest, most_free = TRAIN, -1.0
        for part in (TRAIN, VALID, TEST):
            if room[part] >= size and room[part] / whole[part] > most_free:
                emptiest, most_free = part, room[part] / whole[part]
        room[emptiest] -= size
        parts.append(emptiest)
    return parts


def _fill_empty(
    parts: Parts, sizes: NDArray[np.intp], order: NDArray[np.intp], wanted: tuple[int, int, int]
) -> None:
    """Where every group was large, the smallest ones leave train for parts that got nothing."""
    for part in (TEST, VALID):
        training = order[parts[order] == TRAIN]
        if wanted[part] and not (parts == part).any() and len(training) > 1:
            parts[training[sizes[training].argmin()]] = part


def balanced_folds(groups: NDArray[np.intp], folds: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Put whole groups into folds of sizes as even as the groups allow.

    The largest group goes first, each to the fold that holds least (Graham's rule: the fullest fold is at
    most 4/3 of the best possible). The very largest is in the last fold, so that it trains while fold 0
    tests.

    Args:
        groups: [molecules] Group of each, from 0 without gaps.
        folds: Their number.
        rng: Shuffles groups of the same size.

    Raises:
        ParameterError: There are fewer groups than folds.
    """
    sizes = np.bincount(groups)
    if len(sizes) < folds:
        raise ParameterError(
            f"prepare.folds={folds}, but only {len(sizes)} groups of molecules can be told apart; use fewer "
            "folds or prepare.split=random"
        )
    shuffled = rng.permutation(len(sizes))
    largest_first = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    held = [(0, -fold) for fold in reversed(range(folds))]
    chosen = []
    for size in sizes[largest_first].tolist():
        molecules, fold = held[0]
        chosen.append(-fold)
        heapq.heapreplace(held, (molecules + size, fold))
    of_group = np.empty(len(sizes), np.uint8)
    of_group[largest_first] = chosen
    return of_group[groups]


def parts_of_folds(folds: NDArray[np.uint8]) -> Parts:
    """Fold 0 tests, fold 1 validates, the others train."""
    parts = np.full(len(folds), TRAIN, np.uint8)
    parts[folds == 0] = TEST
    parts[folds == 1] = VALID
    return parts
