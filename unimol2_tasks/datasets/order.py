"""Which molecules make up which batch: a pure function of (seed, step).

Epochs follow each other without a gap, so every global batch is full, and the same global batch is
drawn whatever the number of ranks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Visit:
    """One use of one molecule."""

    epoch: int
    index: int
    """Position in the dataset."""


@dataclass(frozen=True, slots=True)
class Order:
    """The endless sequence of visits to the molecules of one split.

    Attributes:
        indices: `[n]` positions in the dataset.
        seed: Seeds the permutation of every epoch.
    """

    indices: NDArray[np.int64]
    seed: int

    def batch(self, step: int, batch_size: int) -> list[Visit]:
        """The global batch of a step (counted from 0)."""
        count = len(self.indices)
        visits: list[Visit] = []
        position = step * batch_size
        while len(visits) < batch_size:
            epoch, offset = divmod(position, count)
            part = self._permutation(epoch)[offset : offset + batch_size - len(visits)]
            visits.extend(Visit(epoch, int(index)) for index in part)
            position += len(part)
        return visits

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.seed, epoch])
        return self.indices[rng.permutation(len(self.indices))]


def micro_batches(
    order: Order, first_step: int, last_step: int, batch_size: int, micro_batch: int, rank: int, ranks: int
) -> Iterator[list[Visit]]:
    """What one rank sees, forward pass by forward pass, from `first_step` up to before `last_step`."""
    for step in range(first_step, last_step):
        share = order.batch(step, batch_size)[rank::ranks]
        for start in range(0, len(share), micro_batch):
            yield share[start : start + micro_batch]
