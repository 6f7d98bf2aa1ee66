"""The file in which both sides of a comparison find the same molecules: named sets, .npz without pickle."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


def write_sets(path: Path, sets: Mapping[str, Sequence[Arrays]]) -> None:
    """Write each molecule's arrays under `set/index/field`."""
    arrays = {
        f"{name}/{index}/{field}": array
        for name, molecules in sets.items()
        for index, molecule in enumerate(molecules)
        for field, array in molecule.items()
    }
    np.savez(path, allow_pickle=False, **arrays)


def read_sets(path: Path) -> dict[str, list[Arrays]]:
    """Return what `write_sets` wrote, each set in its order."""
    sets: defaultdict[str, defaultdict[int, Arrays]] = defaultdict(lambda: defaultdict(dict))
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            name, index, field = key.split("/")
            sets[name][int(index)][field] = file[key]
    return {name: [numbered[index] for index in sorted(numbered)] for name, numbered in sets.items()}
