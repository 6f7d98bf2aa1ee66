"""How far a molecule is from what a predictor was trained on: its nearest training molecule."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from unimol2_tasks.artifacts.schemas import TRAINING_MOLECULES, validate
from unimol2_tasks.chemistry.fingerprints import BITS, SparseFingerprints, sparse_morgan_fingerprints
from unimol2_tasks.chemistry.tanimoto import nearest, slices
from unimol2_tasks.errors import ArtifactError

TRAINING = "training.parquet"
"""The file of a predictor that says which molecules it was trained on."""

_UNPACKED = 4096
"""Fingerprints that are unpacked at a time: 8 MiB."""


@dataclass(frozen=True)
class TrainingSet:
    """The molecules that a predictor was trained on, as far as similarity needs them.

    Attributes:
        fingerprints: [n, 256] Morgan fingerprints of 2,048 bits (`chemistry.fingerprints`), `np.packbits`.
        ids: [n] names of the molecules.
    """

    fingerprints: NDArray[np.uint8]
    ids: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "TrainingSet":
        """Read a predictor's `training.parquet`.

        Raises:
            ArtifactError: The file is missing or is no such table.
        """
        if not path.is_file():
            raise ArtifactError(
                f"{path}: missing; the predictor was made by an earlier version, fine-tune it again"
            )
        frame = validate(pl.read_parquet(path), TRAINING_MOLECULES, str(path))
        packed = np.frombuffer(b"".join(frame["fingerprint"]), np.uint8)
        return cls(packed.reshape(-1, BITS // 8), tuple(frame["id"]))

    def nearest(self, smiles: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The nearest training molecule of each molecule.

        Args:
            smiles: [m] canonical, as datasets hold them.

        Returns:
            Tanimoto similarities [m] from 0 to 1, and the places [m] of the training molecules among `ids`;
            of several that are equally near, the first.
        """
        return nearest(sparse_morgan_fingerprints(smiles), self._sparse)

    @cached_property
    def _sparse(self) -> SparseFingerprints:
        """About 300 bytes per molecule; unpacked in pieces, because dense ones take 2 kB."""
        pieces = [
            sparse.csr_array(np.unpackbits(self.fingerprints[rows], axis=1), dtype=np.uint16)
            for rows in slices(len(self.fingerprints), _UNPACKED)
        ]
        return sparse.csr_array(sparse.vstack(pieces, format="csr"))
