"""The columns of a table of representations, of molecules or of atoms."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pandera.polars import DataFrameSchema

from unimol2_model import read_config
from unimol2_tasks.artifacts.prediction_schemas import (
    ATOM_EMBEDDINGS,
    ATOM_INDEX,
    ELEMENT,
    EMBEDDING_PREFIX,
    EMBEDDINGS,
    column_types,
)
from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.errors import UserError
from unimol2_tasks.stages.prediction.columns import NOT_FINITE
from unimol2_tasks.training.network import MEMBERS, WEIGHTS

_MOLECULES_PER_PIECE = 512
"""Of atoms: about 40 MB of 768 dimensions; checking a table takes a second however short it is."""


@dataclass(frozen=True, slots=True)
class MoleculeColumns:
    """The representation of every row's molecule; one that is not finite is a failure with its reason."""

    width: int
    """The dimensions D."""

    @property
    def schema(self) -> DataFrameSchema:
        """Of the table."""
        return EMBEDDINGS

    @property
    def types(self) -> dict[str, pl.DataType]:
        """Names and types of the columns, in order."""
        return column_types(["row", "id", "smiles", *_names(self.width), "reason"])

    def pieces(self, rows: pl.DataFrame, values: NDArray[Any] | None) -> Iterator[pl.DataFrame]:
        """The table of some rows.

        Args:
            rows: As `prepared_rows` describes them.
            values: `[n, 1, D]` of those that are molecules; None: there is none.
        """
        found = np.empty((0, self.width)) if values is None else np.asarray(values)[:, 0]
        finite = np.asarray(np.isfinite(found).all(axis=1), bool)
        rows, found = _with_reasons(rows, finite), found[finite]
        places = rows.filter(pl.col("reason").is_null()).select("row")
        embedded = pl.concat([places, pl.DataFrame(found, schema=_names(self.width))], how="horizontal")
        table = rows.join(embedded, on="row", how="left", maintain_order="left")
        yield table.select(pl.col(name).cast(kind) for name, kind in self.types.items())


@dataclass(frozen=True, slots=True)
class AtomColumns:
    """The representation of every heavy atom, a row each; a row that failed keeps a row of its own.

    A molecule fails as a whole where an atom's vector is not finite.
    """

    width: int
    """The dimensions D."""

    @property
    def schema(self) -> DataFrameSchema:
        """Of the table."""
        return ATOM_EMBEDDINGS

    @property
    def types(self) -> dict[str, pl.DataType]:
        """Names and types of the columns, in order."""
        return column_types(["row", "id", "smiles", ATOM_INDEX, ELEMENT, *_names(self.width), "reason"])

    def pieces(self, rows: pl.DataFrame, values: NDArray[Any] | None) -> Iterator[pl.DataFrame]:
        """The table of some rows, a few molecules at a time.

        Args:
            rows: As `prepared_rows` describes them.
            values: `[atoms of all, D]` of those that are molecules; None: there is none.
        """
        found = np.empty((0, self.width), np.float32) if values is None else values
        begin = 0
        for some in rows.iter_slices(_MOLECULES_PER_PIECE):
            counts = some[ATOM_INDEX].drop_nulls().list.len().cast(pl.Int64).to_numpy()
            vectors = np.asarray(found[begin : begin + counts.sum()])
            begin += len(vectors)
            starts = np.cumsum(counts) - counts
            finite = np.logical_and.reduceat(np.isfinite(vectors).all(axis=1), starts)
            atoms = _with_reasons(some, finite).explode(ATOM_INDEX, ELEMENT)
            yield self._piece(atoms, vectors[np.repeat(finite, counts)])

    def _piece(self, atoms: pl.DataFrame, values: NDArray[np.float32]) -> pl.DataFrame:
        numbered = atoms.with_row_index("place")
        places = numbered.filter(pl.col(ATOM_INDEX).is_not_null()).select("place")
        embedded = pl.concat([places, pl.DataFrame(values, schema=_names(self.width))], how="horizontal")
        table = numbered.join(embedded, on="place", how="left", maintain_order="left")
        ordered = table.sort("row", ATOM_INDEX, maintain_order=True)
        return ordered.select(pl.col(name).cast(kind) for name, kind in self.types.items())


def _with_reasons(rows: pl.DataFrame, finite: NDArray[np.bool_]) -> pl.DataFrame:
    """The rows; of the molecules those whose numbers are not finite fail, and have no atoms."""
    molecules = rows.filter(pl.col("reason").is_null())["row"]
    failed = pl.col("row").is_in(molecules.filter(pl.Series(~finite, dtype=pl.Boolean)).implode())
    return rows.with_columns(
        pl.when(failed).then(None).otherwise(ATOM_INDEX).alias(ATOM_INDEX),
        pl.when(failed).then(None).otherwise(ELEMENT).alias(ELEMENT),
        pl.when(failed).then(pl.lit(NOT_FINITE)).otherwise("reason").alias("reason"),
    )


def refuse_what_cannot_embed(artifact: LocalArtifact) -> None:
    """Refuse artifacts without a network.

    Raises:
        UserError: It is neither a model nor a predictor.
    """
    if artifact.manifest.kind not in ("model", "predictor"):
        raise UserError(
            f"{artifact.uri}: is a {artifact.manifest.kind}; only a model, which `unimol2 pretrain` makes, "
            "or a predictor, which `unimol2 finetune` makes, embeds"
        )


def embedding_width(folder: Path) -> int:
    """The dimensions D of what a model's or predictor's network makes of a molecule or an atom.

    Raises:
        UserError: It is an ensemble.
    """
    members = list((folder / MEMBERS).glob("*"))
    if members:
        raise UserError(
            f"{folder}: an ensemble of {len(members)} networks, each with a representation of its own; "
            "embed with a predictor of a single training, or with the pretrained model"
        )
    return read_config(folder / WEIGHTS).atom_dim


def _names(width: int) -> list[str]:
    return [f"{EMBEDDING_PREFIX}{number}" for number in range(width)]
