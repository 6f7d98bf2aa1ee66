"""A dataset for random access: nothing of it is held in memory but where things are."""

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from unimol2_tasks.artifacts.schemas import SPLIT_NAMES
from unimol2_tasks.chemistry.splits import Split
from unimol2_tasks.datasets.arrow_cache import CONTENTS, ArrowContents, arrow_folder, column_file
from unimol2_tasks.datasets.arrow_files import open_arrow
from unimol2_tasks.datasets.records import MoleculeRecord, RecordBatch

# Each takes a file descriptor, of which a process may have 1024.
_OPEN_FILES = 256
# Each takes some 20 kB; they are those of ten million molecules.
_OPEN_BATCHES = 4096


class MoleculeDataset:
    """The molecules of a dataset, mapped into memory and decoded when they are asked for.

    Pickling it takes a path's length: whoever unpickles it maps the same files.

    Attributes:
        label_names: The T labels of every molecule.
        atoms: [n] heavy atoms per molecule.
        conformers: [n] stored conformers per molecule.
        scaffold_codes: [n] the scaffold's place among the dataset's, the most frequent being 0.
        folds: [n] folds from 0; -1 where there is none.
    """

    def __init__(self, folder: Path) -> None:
        """Use `open_dataset` instead, which makes and checks the folder of mapped files."""
        self._folder = folder
        contents = ArrowContents.model_validate_json((folder / CONTENTS).read_text(encoding="utf-8"))
        self.label_names = contents.label_names
        self.atoms, self.conformers, self.scaffold_codes, self.folds, self._splits = (
            _mapped(folder / column_file(column))
            for column in ("atoms", "conformers", "scaffold", "fold", "split")
        )
        self._places = [
            (shard.name, number) for shard in contents.shards for number in range(len(shard.batches))
        ]
        self._ends = list(accumulate(rows for shard in contents.shards for rows in shard.batches))
        self._file = lru_cache(_OPEN_FILES)(self._open_file)
        self._batch = lru_cache(_OPEN_BATCHES)(self._open_batch)

    def __len__(self) -> int:
        return self._ends[-1]

    def __reduce__(self) -> tuple[type["MoleculeDataset"], tuple[Path]]:
        return MoleculeDataset, (self._folder,)

    def record(self, index: int) -> MoleculeRecord:
        """The molecule at `index`, with all conformers; its arrays are read-only."""
        batch, place = self._locate(index)
        return batch.record(place)

    def labels(self, index: int) -> NDArray[np.float64]:
        """[T] in the labels' own units, NaN where missing; read-only."""
        batch, place = self._locate(index)
        values: NDArray[np.float64] = batch.labels[place]
        return values

    def indices(self, split: Split) -> NDArray[np.int64]:
        """The molecules of one split, in dataset order."""
        return np.flatnonzero(self._splits == SPLIT_NAMES.index(split))

    def id(self, index: int) -> str:
        """The molecule's name in the source, else its row there."""
        return self._text("id", index)

    def smiles(self, index: int) -> str:
        """Canonical SMILES."""
        return self._text("smiles", index)

    def scaffold(self, index: int) -> str:
        """Murcko scaffold; empty for an acyclic molecule."""
        return self._text("scaffold", index)

    def _text(self, column: str, index: int) -> str:
        batch, place = self._locate(index)
        return batch.text(column, place)

    def _locate(self, index: int) -> tuple[RecordBatch, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"molecule {index} of a dataset of {len(self)}")
        # As a plain integer: comparing numpy's takes longer than the search.
        index = int(index)
        number = bisect_right(self._ends, index)
        return self._batch(number), index - (self._ends[number - 1] if number else 0)

    def _open_batch(self, number: int) -> RecordBatch:
        name, place = self._places[number]
        return RecordBatch(self._file(name).get_batch(place), self.label_names)

    def _open_file(self, name: str) -> pa.ipc.RecordBatchFileReader:
        return open_arrow(self._folder / name)


def open_dataset(path: Path | str, cache: Path | None = None) -> MoleculeDataset:
    """Open a dataset's folder.

    The first time, every file is checked and the molecules are unpacked into Arrow files, about 1 kB per
    molecule and 0.3 kB per conformer for drug-like ones; later, and in other processes, these are mapped at
    once. Nobody removes them: to gain room, remove the folder below `cache` that bears the dataset's digest.

    Args:
        path: A dataset's folder; nothing is written into it if it holds a manifest.
        cache: Where the Arrow files go, best on a local disk. None: `.work/arrow` beside the dataset, or
            where that cannot be written `~/.cache/unimol2/arrow`; for a folder without a manifest `.arrow`
            inside of it.

    Raises:
        ArtifactError: A file is missing, damaged or of another version, or there is no room for the cache.
    """
    return MoleculeDataset(arrow_folder(Path(path), cache))


def _mapped(path: Path) -> NDArray[Any]:
    # As a plain array: slices of numpy's class for mapped files cost several times as much.
    values: NDArray[Any] = np.load(path, mmap_mode="r").view(np.ndarray)
    return values
