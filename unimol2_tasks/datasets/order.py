"""Which molecules make up which batch: a pure function of (seed, step).

Epochs follow each other without a gap, so every global batch is full, and the same global batch is
drawn whatever the number of ranks. With probabilities there are no epochs: every visit is a draw.
"""

from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_WINDOW = 16
"""Steps whose molecules are sorted by size together: enough for little padding, and still well mixed."""
_DRAWS = 4096
"""Draws that come from one generator: few enough to make anew for any step, many to pay for its seeding."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One use of one molecule."""

    epoch: int
    """Which time round; of draws, which may take a molecule again soon, the number of the draw."""
    index: int
    """Position in the dataset."""


@dataclass(frozen=True, slots=True)
class Order:
    """The endless sequence of visits to the molecules of one split.

    Attributes:
        indices: `[n]` positions in the dataset.
        seed: Seeds the permutation of every epoch.
        sizes: Atoms of every molecule of the dataset, or None. With sizes, the visits of a window of
            steps are sorted by them and the batches shuffled again, so that a batch holds molecules of
            similar size and pads little: pairs cost the square of the longest.
        probabilities: `[n]` those of `indices`, to be drawn with replacement, or None: every molecule once
            per epoch. They need not add up to 1.
    """

    indices: NDArray[np.int64]
    seed: int
    sizes: NDArray[np.int64] | None = None
    probabilities: InitVar[NDArray[np.float64] | None] = None
    _cumulative: NDArray[np.float64] | None = field(init=False, default=None)

    def __post_init__(self, probabilities: NDArray[np.float64] | None) -> None:
        if probabilities is None:
            return
        if probabilities.shape != self.indices.shape:
            raise ValueError(f"probabilities: expected shape {self.indices.shape}, got {probabilities.shape}")
        cumulative = np.cumsum(probabilities)
        cumulative /= cumulative[-1]
        object.__setattr__(self, "_cumulative", cumulative)

    def batch(self, step: int, batch_size: int) -> list[Visit]:
        """The global batch of a step (counted from 0)."""
        if self.sizes is None:
            return _as_visits(*self._sequence(step * batch_size, batch_size))
        window, place = divmod(step, _WINDOW)
        epochs, indices = self._sequence(window * _WINDOW * batch_size, _WINDOW * batch_size)
        rng = np.random.default_rng([self.seed, window, _WINDOW])
        # Ties are broken at random: else a molecule would always meet the same others.
        by_size = np.lexsort((rng.random(len(indices)), self.sizes[indices]))
        start = int(rng.permutation(_WINDOW)[place]) * batch_size
        chosen = by_size[start : start + batch_size]
        return _as_visits(epochs[chosen], indices[chosen])

    def _sequence(self, position: int, amount: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Epochs and indices `[amount]` of consecutive visits of the endless sequence."""
        if self._cumulative is not None:
            return self._draws(position, amount, self._cumulative)
        count = len(self.indices)
        epochs, offsets = np.divmod(np.arange(position, position + amount), count)
        indices = np.empty(amount, dtype=np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            indices[here] = self.indices[_shuffled(count, self.seed, int(epoch))[offsets[here]]]
        return epochs, indices

    def _draws(
        self, position: int, amount: int, cumulative: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        first, last = position // _DRAWS, (position + amount - 1) // _DRAWS
        # Four numbers, unlike the seeds of shuffles and samples: draws must not go along with the noise.
        uniform = [
            np.random.default_rng([self.seed, block, 0, _DRAWS]).random(_DRAWS)
            for block in range(first, last + 1)
        ]
        here = np.concatenate(uniform)[position - first * _DRAWS :][:amount]
        numbers = np.arange(position, position + amount)
        return numbers, self.indices[np.searchsorted(cumulative, here, side="right")]


def _as_visits(epochs: NDArray[np.int64], indices: NDArray[np.int64]) -> list[Visit]:
    return [Visit(int(epoch), int(index)) for epoch, index in zip(epochs, indices, strict=True)]


# A batch spans two epochs at most in practice; drawing a permutation of millions anew takes seconds.
@lru_cache(maxsize=2)
def _shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(count)


def micro_batches(
    order: Order, first_step: int, last_step: int, batch_size: int, micro_batch: int, rank: int, ranks: int
) -> Iterator[list[Visit]]:
    """What one rank sees, forward pass by forward pass, from `first_step` up to before `last_step`."""
    for step in range(first_step, last_step):
        share = order.batch(step, batch_size)[rank::ranks]
        for start in range(0, len(share), micro_batch):
            yield share[start : start + micro_batch]
