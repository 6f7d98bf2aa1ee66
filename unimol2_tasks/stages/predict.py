"""Prediction and embedding: any table in, one row out for each row in, in the same order."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unimol2_tasks import progress
from unimol2_tasks.artifacts.manifest import ArtifactRef, Rows
from unimol2_tasks.artifacts.schemas import (
    EMBEDDING_PREFIX,
    EMBEDDINGS,
    PREDICTION_PREFIX,
    PREDICTIONS,
    validate,
)
from unimol2_tasks.artifacts.single_file import find_file, publish_file
from unimol2_tasks.artifacts.store import LocalArtifact, Recipe, Store
from unimol2_tasks.chemistry.pool import map_molecules
from unimol2_tasks.chemistry.preparation import prepare_molecule
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers import Table, read_table, table_digest
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.datasets.shards import MoleculeRecord, ShardWriter, write_splits
from unimol2_tasks.errors import TableError, UserError
from unimol2_tasks.params import Params, PrepareParams
from unimol2_tasks.stages.inference import infer
from unimol2_tasks.training.job import Job
from unimol2_tasks.training.network import TARGETS
from unimol2_tasks.training.targets import Targets

_WRITERS: dict[str, Callable[[pl.DataFrame, Path], None]] = {
    ".csv": lambda frame, path: frame.write_csv(path),
    ".parquet": lambda frame, path: frame.write_parquet(path),
}


@dataclass(frozen=True, slots=True)
class PredictInputs:
    """What predicts, and what is predicted."""

    artifact: str
    """A predictor (`run`) or a model (`run_embed`)."""
    table: str
    """A path or `s3://…`; see `datasets.readers.read_table`."""
    smiles_column: str | None = None
    """None: guessed by its name."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the output, before its values are known."""

    row: int
    id: str
    smiles: str
    reason: str | None
    """Why it has no values; None where it has."""


def run(params: Params, inputs: PredictInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Predict a table into a `.csv` or `.parquet` file.

    Molecules are prepared as the predictor's training molecules were. A row that cannot be predicted
    keeps its place, with the reason.

    Raises:
        UserError: Predictor, table or column is missing, `out` has another suffix, or no row is a molecule.
        TrainingFailed: Inference ended without a result.
    """
    _check_suffix(out)
    predictor = store.fetch(inputs.artifact, "predictor")
    targets = Targets.model_validate_json((predictor.path / TARGETS).read_text(encoding="utf-8"))
    recipe = Recipe("predictions", {}, _parents(predictor, inputs, store))
    names = [PREDICTION_PREFIX + name for name in targets.names]
    work = _Work(params, inputs, out, store, recipe, targets.prepare)
    return work.run(
        Job(kind="predict", dataset=work.folder, model=predictor.path.absolute(), params=params), names
    )


def run_embed(params: Params, inputs: PredictInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Write the pretrained representation `[D]` of every row into a `.csv` or `.parquet` file.

    Molecules are prepared as `params.prepare` says; the embedding is the molecule token of the last
    block, averaged over the conformers.

    Raises:
        UserError: As `run`.
        TrainingFailed: Inference ended without a result.
    """
    _check_suffix(out)
    model = store.fetch(inputs.artifact, "model")
    prepare = params.prepare
    recipe = Recipe(
        "embeddings",
        {"prepare": prepare.model_dump(mode="json", exclude={"workers"})},
        _parents(model, inputs, store),
    )
    work = _Work(params, inputs, out, store, recipe, prepare)
    return work.run(Job(kind="embed", dataset=work.folder, model=model.path.absolute(), params=params), None)


@dataclass(frozen=True, slots=True)
class _Work:
    """One prediction, from the table to the published file."""

    params: Params
    inputs: PredictInputs
    out: str
    store: Store
    recipe: Recipe
    prepare: PrepareParams

    @property
    def folder(self) -> Path:
        """Where the prepared molecules wait; the same after an interruption."""
        return self.store.work_folder(self.out, self.recipe)

    def run(self, job: Job, names: Sequence[str] | None) -> ArtifactRef:
        found = find_file(self.store, self.recipe, self.out)
        if found is not None:
            return found
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        choice = ColumnChoice(smiles=self.inputs.smiles_column, labels=())
        rows = _prepare(
            read_table(self.inputs.table, choice, self.store), self.folder, self.prepare, self.params
        )
        values = infer(job, self.params, self.folder / "run")
        frame = _frame(rows, values, names)
        validate(frame, PREDICTIONS if names else EMBEDDINGS, self.out)
        with self.store.draft(self.out) as draft:
            name = self.out.rpartition("/")[2]
            _WRITERS[Path(name).suffix](frame, draft / name)
            failed = sum(row.reason is not None for row in rows)
            counts = Rows(rows_in=len(rows), out=len(rows) - failed, rejects=failed)
            ref = publish_file(self.store, draft, self.out, self.recipe, counts)
        shutil.rmtree(self.folder)
        return ref


def _prepare(table: Table, folder: Path, prepare: PrepareParams, params: Params) -> list[_Row]:
    """Write the molecules of a table as shards, in its order; returns what became of every row."""
    rows: list[_Row] = []
    ids: list[str] = []
    with ShardWriter(folder, prepare.shard_rows, ()) as shards:
        for row, record in _records(table, prepare, params):
            rows.append(row)
            if record is not None:
                shards.write(record)
                ids.append(row.id)
        if not ids:
            first = rows[0]
            raise TableError(
                f"{table.uri}: no molecule of {len(rows)} rows could be used; "
                f"the first reason: row {first.row} ({first.smiles:.60}): {first.reason}"
            )
    write_splits(folder, ids, ["test"] * len(ids))
    return rows


def _records(
    table: Table, prepare: PrepareParams, params: Params
) -> Iterator[tuple[_Row, MoleculeRecord | None]]:
    rows = list(table.rows())
    outcomes = map_molecules(
        partial(prepare_molecule, params=prepare),
        (row.structure for row in rows if isinstance(row, InputRow)),
        workers=params.prepare.workers,
        timeout=prepare.conformer_timeout,
        stage="conformers",
    )
    with closing(outcomes):
        for done, row in enumerate(rows, start=1):
            progress.report("conformers", done, len(rows))
            if isinstance(row, Reject):
                yield _Row(row.row, str(row.row), row.input, row.reason), None
                continue
            result = next(outcomes).result
            if isinstance(result, Rejected):
                yield _Row(row.row, row.id, row.text, result.reason), None
                continue
            yield _Row(row.row, row.id, row.text, None), MoleculeRecord.of(result, row.row, row.id)


def _frame(rows: Sequence[_Row], values: NDArray[np.float64], names: Sequence[str] | None) -> pl.DataFrame:
    """The output table: values `[n, T]` of the rows that have any, nulls for the others."""
    names = names or [f"{EMBEDDING_PREFIX}{number}" for number in range(values.shape[1])]
    whole = np.full((len(rows), len(names)), np.nan)
    whole[[place for place, row in enumerate(rows) if row.reason is None]] = values
    return pl.DataFrame(
        {
            "row": pl.Series([row.row for row in rows], dtype=pl.UInt64),
            "id": [row.id for row in rows],
            "smiles": [row.smiles for row in rows],
            **{name: whole[:, k] for k, name in enumerate(names)},
            "reason": pl.Series([row.reason for row in rows], dtype=pl.String),
        },
        nan_to_null=True,
    )


def _parents(artifact: LocalArtifact, inputs: PredictInputs, store: Store) -> dict[str, str]:
    return {artifact.manifest.kind: artifact.manifest.digest, "table": table_digest(inputs.table, store)}


def _check_suffix(out: str) -> None:
    if Path(out).suffix not in _WRITERS:
        raise UserError(f"--out {out}: expected a file that ends in {' or '.join(_WRITERS)}")
