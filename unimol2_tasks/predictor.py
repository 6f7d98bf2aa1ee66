"""Predictions and representations in Python, for notebooks and services.

Everything happens in this process: no DeepSpeed, no other processes, no files.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from rdkit import Chem

from unimol2_tasks.artifacts.schemas import validate
from unimol2_tasks.artifacts.store import LocalArtifact, Store
from unimol2_tasks.chemistry.preparation import PreparedMolecule
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.structure import Structure
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.molecule_files import MoleculeList
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params, PrepareParams
from unimol2_tasks.stages.prediction.columns import PredictionColumns
from unimol2_tasks.stages.prediction.embedding_columns import (
    AtomColumns,
    MoleculeColumns,
    embedding_width,
    refuse_what_cannot_embed,
)
from unimol2_tasks.stages.prediction.given_rows import given_rows
from unimol2_tasks.stages.prediction.inputs import MADE_INSTEAD
from unimol2_tasks.stages.prediction.passes import OutputColumns
from unimol2_tasks.stages.prediction.units import prepare_numbered, prepared_rows
from unimol2_tasks.training.memory_inference import Scoring, scoring
from unimol2_tasks.training.network import TARGETS, read_targets


class Predictor:
    """A predictor, or to embed also a pretrained model; gives the tables that the commands write.

    Example:
        ```python
        from unimol2_tasks import Predictor

        Predictor.load("runs/predictor").predict(["CCO", "c1ccccc1"])
        ```
    """

    def __init__(self, artifact: LocalArtifact, params: Params, device: torch.device | None) -> None:
        """Use `load`."""
        self._artifact = artifact
        self._params = params
        self._device = device
        self._scorings: dict[str, Scoring] = {}

    @classmethod
    def load(
        cls, uri: str | Path, params: Params = Params(), device: str | None = None, store: Store = Store()
    ) -> "Predictor":
        """Open a predictor or model and check that it is whole.

        Args:
            uri: A folder or `s3://…`.
            params: `predict` counts: batch size, coverage of intervals; for a model also `prepare`, while a
                predictor prepares molecules as those that it was trained on.
            device: As PyTorch names it; none: a GPU where there is one.
            store: How S3 is reached.

        Raises:
            ArtifactError: It is missing or damaged.
        """
        return cls(store.fetch(str(uri)), params, None if device is None else torch.device(device))

    def predict(self, smiles: Iterable[str | Chem.Mol | None]) -> pl.DataFrame:
        """Predict molecules, as `unimol2 predict` does a table of them.

        Molecules are prepared one after the other, without the command's limit of time for each.

        Args:
            smiles: A list, array or column of SMILES or `Chem.Mol`; None, NaN and pandas' NA are a row with a
                reason. A `Chem.Mol` counts as its record in an SDF file, with its first conformer.

        Returns:
            A row per molecule in the same order, with `prediction:…` in the label's unit (a probability of a
            class), `std:…` over an ensemble's members, `lower:…` and `upper:…` of the interval,
            `similarity` to the nearest training molecule, and `reason` where a molecule has no prediction.

        Raises:
            TypeError: `smiles` is a single molecule, a whole table, or holds something else.
            UserError: This is no predictor, or one that needs coordinates, and SMILES have none.
        """
        if self._artifact.manifest.kind != "predictor":
            raise UserError(
                f"{self._artifact.uri}: is a {self._artifact.manifest.kind}; only a predictor, which "
                "`unimol2 finetune` makes, predicts; this one can `embed`"
            )
        return self._table("predict", self._prediction_columns, smiles)

    def embed(self, smiles: Iterable[str | Chem.Mol | None], atoms: bool = False) -> pl.DataFrame:
        """Represent molecules, as `unimol2 embed` does a table of them.

        Args:
            smiles: As for `predict`.
            atoms: A row per heavy atom instead of one per molecule; `atom_index` is its number in
                `Chem.MolFromSmiles` of what was given, or in `Chem.RemoveHs` of a `Chem.Mol`.

        Returns:
            `embedding:0` to `embedding:D-1`, and `reason` where a molecule has none.

        Raises:
            TypeError: As `predict`.
            UserError: This is an ensemble, or neither model nor predictor.
        """
        refuse_what_cannot_embed(self._artifact)
        columns = AtomColumns if atoms else MoleculeColumns
        wanted: Literal["embed-atoms", "embed"] = "embed-atoms" if atoms else "embed"
        return self._table(wanted, columns(self._width), smiles)

    def _table(
        self, wanted: str, columns: OutputColumns, smiles: Iterable[str | Chem.Mol | None]
    ) -> pl.DataFrame:
        rows = given_rows(smiles)
        self._refuse_smiles_alone(rows)
        pieces = [pl.DataFrame(schema=columns.types)]
        for start in range(0, len(rows), self._params.predict.unit_rows):
            pieces += self._pieces(wanted, columns, rows[start : start + self._params.predict.unit_rows])
        return validate(pl.concat(pieces), columns.schema, self._artifact.uri)

    def _refuse_smiles_alone(self, rows: list[InputRow | Reject]) -> None:
        """Where coordinates are to be kept, every row would be rejected."""
        structures = [row.structure for row in rows if isinstance(row, InputRow)]
        if self._prepare.coordinates != "keep" or not structures:
            return
        if all(structure.mol_block is None for structure in structures):
            raise UserError(
                f"{self._artifact.uri}: given coordinates are to be kept (prepare.coordinates=keep), and "
                f"SMILES have none; give Chem.Mol with a conformer in space, {MADE_INSTEAD}"
            )

    def _pieces(
        self, wanted: str, columns: OutputColumns, rows: list[InputRow | Reject]
    ) -> list[pl.DataFrame]:
        prepare = self._prepare
        results = [_attempt(row.structure, prepare) for row in rows if isinstance(row, InputRow)]
        frame, records = prepared_rows(rows, results)
        return list(columns.pieces(frame, self._values(wanted, records)))

    def _values(self, wanted: str, records: list[MoleculeRecord]) -> NDArray[np.floating[Any]] | None:
        if not records:
            return None
        if wanted not in self._scorings:
            batch_size = self._params.predict.batch_size
            self._scorings[wanted] = scoring(wanted, self._artifact.path, batch_size, self._device)
        return self._scorings[wanted](MoleculeList(records))

    @cached_property
    def _prediction_columns(self) -> PredictionColumns:
        return PredictionColumns.of(self._artifact.path, self._params.predict.coverage)

    @cached_property
    def _width(self) -> int:
        return embedding_width(self._artifact.path)

    @cached_property
    def _prepare(self) -> PrepareParams:
        """How molecules are made."""
        if not (self._artifact.path / TARGETS).is_file():
            return self._params.prepare
        return read_targets(self._artifact.path).prepare


def _attempt(structure: Structure, params: PrepareParams) -> PreparedMolecule | Rejected:
    try:
        return prepare_numbered(structure, params)
    except Rejected as rejection:
        return rejection
