"""How large the molecules are: the mean decides the time, the largest the memory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from unimol2_tasks.errors import UserError


@dataclass(frozen=True, slots=True)
class MoleculeSizes:
    """Heavy atoms of the molecules of a dataset, or of an assumed one."""

    counts: Mapping[int, int]
    """Molecules by their heavy atoms."""
    largest: int
    """Heavy atoms of the largest molecule. Sooner or later it is in a micro-batch, all of which is then
    padded to its size: it decides the peak of memory."""
    training: int | None
    """Molecules of the train split; None: not known."""
    source: str
    """Where the figures are from, for people."""

    @property
    def mean(self) -> float:
        """Mean number of heavy atoms."""
        return sum(atoms * count for atoms, count in self.counts.items()) / sum(self.counts.values())

    @classmethod
    def assumed(cls, atoms: int, largest: int, source: str) -> Self:
        """All molecules of one size, but with room for the largest that preparation lets pass.

        Raises:
            UserError: `atoms` is less than 1, or more than `largest`.
        """
        if not 1 <= atoms <= largest:
            raise UserError(
                f"--atoms {atoms}: expected 1 to {largest}, the largest molecule that is kept "
                "(prepare.max_atoms)"
            )
        return cls({atoms: 1}, largest, None, source)

    @classmethod
    def of_statistics(cls, text: str, source: str) -> Self:
        """Those of a dataset, from its `statistics.json`.

        Raises:
            UserError: It is no such file, or counts no molecule.
        """
        try:
            statistics: dict[str, Any] = json.loads(text)
            counts = {int(atoms): int(count) for atoms, count in statistics["heavy_atoms"].items()}
            training = int(statistics["splits"]["train"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(
                f"{source}: holds no statistics of a dataset; give the folder that `unimol2 prepare` made"
            ) from None
        if not counts or not training:
            raise UserError(f"{source}: no molecule to train on; prepare more molecules")
        return cls(counts, max(counts), training, source)
