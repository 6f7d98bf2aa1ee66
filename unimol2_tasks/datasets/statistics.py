"""What is in a dataset, counted while it is written."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rdkit.Chem import GetPeriodicTable

from unimol2_tasks.chemistry.splits import SPLITS, Split
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.records import MoleculeRecord


class DatasetStatistics:
    """Counts over the molecules of a dataset.

    Attributes:
        ids: Names of the molecules, in dataset order.
        scaffolds: Their scaffolds, in dataset order.
    """

    def __init__(self, label_names: Sequence[str]) -> None:
        self.ids: list[str] = []
        self.scaffolds: list[str] = []
        self._label_names = tuple(label_names)
        self._labels: list[tuple[float | None, ...]] = []
        self._atoms: Counter[int] = Counter()
        self._elements: Counter[int] = Counter()
        self._methods: Counter[str] = Counter()
        self._conformers: Counter[int] = Counter()

    def add(self, record: MoleculeRecord) -> None:
        """Count one molecule."""
        self.ids.append(record.id)
        self.scaffolds.append(record.scaffold)
        self._labels.append(record.labels)
        self._atoms[len(record.tokens)] += 1
        self._elements.update(record.tokens.tolist())
        self._methods[record.method] += 1
        self._conformers[record.conformers] += 1

    def summary(self, splits: Iterable[Split], rejects: Iterable[Reject], conflicts: int) -> dict[str, Any]:
        """Everything that `statistics.json` holds.

        Args:
            splits: Of every molecule.
            rejects: The ledger.
            conflicts: Molecules whose duplicates disagreed on a label.
        """
        symbol = GetPeriodicTable().GetElementSymbol
        split_sizes = Counter(splits)
        return {
            "molecules": len(self.ids),
            "splits": {split: split_sizes[split] for split in SPLITS},
            "scaffolds": len(set(self.scaffolds)),
            "heavy_atoms": {str(size): count for size, count in sorted(self._atoms.items())},
            "elements": {symbol(number): count for number, count in sorted(self._elements.items())},
            "conformers": {str(number): count for number, count in sorted(self._conformers.items())},
            "methods": dict(sorted(self._methods.items())),
            "labels": {name: self._label(place) for place, name in enumerate(self._label_names)},
            "conflicting_duplicates": conflicts,
            "rejects": dict(sorted(Counter(reject.stage for reject in rejects).items())),
        }

    def _label(self, place: int) -> dict[str, float | int | None]:
        known = np.array([row[place] for row in self._labels if row[place] is not None], np.float64)
        if not len(known):
            return {"known": 0, "mean": None, "std": None, "min": None, "max": None}
        return {
            "known": len(known),
            "mean": float(known.mean()),
            "std": float(known.std()),
            "min": float(known.min()),
            "max": float(known.max()),
        }
