"""The tables of a predictor: what it was trained on, and what it says of the molecules it was chosen by."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandera.polars as pa
import polars as pl
from numpy.typing import NDArray

from unimol2_tasks.artifacts.schemas import LABEL_PREFIX, PREDICTION_PREFIX, TRAINING_MOLECULES, validate
from unimol2_tasks.chemistry.fingerprints import sparse_morgan_fingerprints
from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.training.targets import Targets

VALIDATION = "validation.parquet"
OUT_OF_FOLD = "out-of-fold.parquet"
"""Of a member of a cross-validation: the fold that it neither trained on nor was chosen by."""

_PREDICTED = pa.DataFrameSchema(
    {
        "id": pa.Column(pl.String, description="Name in the source, else the row."),
        f"^{LABEL_PREFIX}.+$": pa.Column(
            pl.Float64,
            nullable=True,
            regex=True,
            description="In the unit of the source; null where missing.",
        ),
        f"^{PREDICTION_PREFIX}.+$": pa.Column(
            pl.Float64, regex=True, description="In the unit of the label; of classes, probabilities."
        ),
    },
    strict=True,
)
"""What a predictor says of labelled molecules."""

_AT_ONCE = 4096
"""Molecules whose fingerprints are unpacked at a time: 16 MiB."""


def write_training_molecules(path: Path, dataset: MoleculeDataset, indices: NDArray[np.int64]) -> None:
    """Write `id` and `fingerprint` (2048 bits, packed) of the molecules that a predictor was trained on."""
    frame = pl.concat([_fingerprints(dataset, part) for part in _slices(indices)])
    validate(frame, TRAINING_MOLECULES, str(path)).write_parquet(path)


def _slices(indices: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
    return (indices[start : start + _AT_ONCE] for start in range(0, len(indices), _AT_ONCE))


def _fingerprints(dataset: MoleculeDataset, indices: NDArray[np.int64]) -> pl.DataFrame:
    bits = sparse_morgan_fingerprints(dataset.smiles(index) for index in indices).toarray()
    packed = [row.tobytes() for row in np.packbits(bits.astype(np.bool_), axis=1)]
    return pl.DataFrame(
        {"id": [dataset.id(index) for index in indices], "fingerprint": packed},
        schema={"id": pl.String, "fingerprint": pl.Binary},
    )


def write_predictions(
    path: Path,
    ids: Sequence[str],
    labels: NDArray[np.float64],
    predictions: NDArray[np.float64],
    targets: Targets,
) -> None:
    """Write `id`, `label:NAME` and `prediction:COLUMN`.

    Args:
        path: The table.
        ids: `[n]`.
        labels: `[n, T]`, NaN where unknown.
        predictions: `[n, C]` in label units; of classes, probabilities.
        targets: Their names.
    """
    columns = {LABEL_PREFIX + name: labels[:, k] for k, name in enumerate(targets.names)}
    columns |= {PREDICTION_PREFIX + name: predictions[:, k] for k, name in enumerate(targets.columns)}
    frame = pl.DataFrame({"id": list(ids), **columns}, schema_overrides={"id": pl.String}, nan_to_null=True)
    validate(frame, _PREDICTED, str(path)).write_parquet(path)


def read_predictions(
    path: Path, targets: Targets
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """The ids `[n]`, labels `[n, T]` and predictions `[n, C]` of `write_predictions`.

    Raises:
        ArtifactError: The table is damaged or of another version.
    """
    frame = validate(pl.read_parquet(path), _PREDICTED, str(path))
    labels = frame.select(pl.col(LABEL_PREFIX + name).fill_null(np.nan) for name in targets.names)
    predictions = frame.select(PREDICTION_PREFIX + name for name in targets.columns)
    return frame["id"].to_list(), labels.to_numpy(), predictions.to_numpy()
