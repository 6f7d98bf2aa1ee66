"""Prediction and embedding: any table in, one row out for each row in, in the same order.

A prediction that was killed goes on from the units that are finished and ends with the same bytes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.s3 import is_s3
from unimol2_tasks.artifacts.single_file import find_file, publish_file
from unimol2_tasks.artifacts.store import LocalArtifact, Recipe, Store
from unimol2_tasks.artifacts.streamed_tables import refuse_other_suffixes
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.datasets.readers import table_digest
from unimol2_tasks.errors import TableError
from unimol2_tasks.params import Params, PrepareParams
from unimol2_tasks.stages.prediction.columns import PredictionColumns
from unimol2_tasks.stages.prediction.embedding_columns import (
    AtomColumns,
    MoleculeColumns,
    embedding_width,
    refuse_what_cannot_embed,
)
from unimol2_tasks.stages.prediction.inputs import PredictInputs, refuse_without_coordinates
from unimol2_tasks.stages.prediction.passes import OutputColumns, PredictionPasses
from unimol2_tasks.stages.preparation.units import WorkOn, work_here
from unimol2_tasks.stages.prepare import of_molecules
from unimol2_tasks.training.job import Job
from unimol2_tasks.training.network import TARGETS, read_targets

__all__ = ["PredictInputs", "Sharing", "run", "run_embed"]

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who works on the units of a prediction, and where what they make waits."""

    work_on: WorkOn | None = None
    """None: processes of this machine."""
    work: str | None = None
    """Folder or S3 prefix for unfinished work, which whoever works must reach; None: beside `out`, or beside
    the store's cache where `out` is on S3."""


def run(
    params: Params,
    inputs: PredictInputs,
    out: str,
    store: Store = Store(),
    sharing: Sharing = Sharing(),
) -> ArtifactRef:
    """Predict a table into a `.csv` or `.parquet` file (`artifacts.prediction_schemas.PREDICTIONS`).

    Molecules are prepared as the predictor's training molecules were. A row that cannot be predicted keeps
    its place, with the reason; that no row can be predicted is no error.

    Args:
        params: `predict` counts, and of `prepare` the number of workers.
        inputs: Predictor and table.
        out: A new file, or one on S3.
        store: How S3 is reached.
        sharing: Who prepares the molecules; the network runs on this machine.

    Raises:
        UserError: Predictor, table or column is missing, `out` has another suffix, or the table is empty, or
            without coordinates that the predictor needs, or it changed meanwhile.
        TrainingFailed: Inference ended without a result; started again, it goes on.
    """
    refuse_other_suffixes(out)
    predictor = store.fetch(inputs.artifact, "predictor")
    coverage = params.predict.coverage
    settings = {"coverage": coverage, **inputs.columns}
    return _Prediction(
        recipe=Recipe("predictions", settings, _parents(predictor, inputs, store)),
        job=Job(kind="predict", dataset=Path(), model=predictor.path.absolute(), params=params),
        prepare=read_targets(predictor.path).prepare,
        columns=lambda: PredictionColumns.of(predictor.path, coverage),
    ).run(inputs, out, store, sharing)


def run_embed(
    params: Params,
    inputs: PredictInputs,
    out: str,
    store: Store = Store(),
    sharing: Sharing = Sharing(),
    atoms: bool = False,
) -> ArtifactRef:
    """Write the representation `[D]` of every row, or of every heavy atom, into a `.csv` or `.parquet` file.

    It is the molecule token of the last block, or its atoms, averaged over the conformers. Molecules are
    prepared as `params.prepare` says, or as the predictor's training molecules were.

    Args:
        params: `predict` and `prepare` count.
        inputs: Model, or predictor of a single training, and table.
        out: As `run`.
        store: As `run`.
        sharing: As `run`.
        atoms: A row per heavy atom, `artifacts.prediction_schemas.ATOM_EMBEDDINGS`; `atom_index` is the
            number that RDKit's parser gives the atom in the given text, without a row for atoms that
            standardisation took away.

    Raises:
        UserError: As `run`, or the predictor is an ensemble, or the artifact is neither model nor predictor.
        TrainingFailed: As `run`.
    """
    refuse_other_suffixes(out)
    model = store.fetch(inputs.artifact)
    refuse_what_cannot_embed(model)
    learnt = (model.path / TARGETS).is_file()
    prepare = read_targets(model.path).prepare if learnt else params.prepare
    settings = {"prepare": of_molecules(prepare), "atoms": atoms, **inputs.columns}
    columns = AtomColumns if atoms else MoleculeColumns
    return _Prediction(
        recipe=Recipe("embeddings", settings, _parents(model, inputs, store)),
        job=Job(
            kind="embed-atoms" if atoms else "embed",
            dataset=Path(),
            model=model.path.absolute(),
            params=params,
        ),
        prepare=prepare,
        columns=lambda: columns(embedding_width(model.path)),
    ).run(inputs, out, store, sharing)


@dataclass(frozen=True, slots=True)
class _Prediction:
    """What is to be computed, for whatever table."""

    recipe: Recipe
    job: Job
    prepare: PrepareParams
    columns: Callable[[], OutputColumns]

    def run(self, inputs: PredictInputs, out: str, store: Store, sharing: Sharing) -> ArtifactRef:
        """The file at `out`: the one that is there, or a new one."""
        folder = store.work_folder(out, self._unfinished(out))
        shared = folder if sharing.work is None else f"{sharing.work.rstrip('/')}/{folder.name}"
        workspace = Workspace(str(shared), store)
        with workspace.alone():
            found = find_file(store, self.recipe, out)
            if found is not None:
                _LOGGER.info("%s: already made from this table and these parameters", out)
            else:
                found = self._start(inputs, out, workspace, sharing.work_on, folder)
            _forget(workspace, folder)
            return found

    def _start(
        self, inputs: PredictInputs, out: str, workspace: Workspace, work_on: WorkOn | None, folder: Path
    ) -> ArtifactRef:
        try:
            return self._make(inputs, out, workspace, work_on, folder)
        except TableError:
            # Another table is another prediction: nobody will go on with this one.
            _forget(workspace, folder)
            raise

    def _make(
        self, inputs: PredictInputs, out: str, workspace: Workspace, work_on: WorkOn | None, folder: Path
    ) -> ArtifactRef:
        store, params = workspace.store, self.job.params
        table = inputs.read(store)
        refuse_without_coordinates(table, self.prepare)
        passes = PredictionPasses(
            table=table,
            digest=self.recipe.parents["table"],
            prepare=self.prepare,
            job=self.job,
            columns=self.columns(),
            workspace=workspace,
            work_on=work_on or partial(work_here, workers=params.prepare.workers),
            folder=folder,
        )
        with store.draft(out) as draft:
            rows = passes.run(draft / out.rpartition("/")[2])
            return publish_file(store, draft, out, self.recipe, rows)

    def _unfinished(self, out: str) -> Recipe:
        """Of the work that is found again: files of units of another size are of no use."""
        place = out if is_s3(out) else str(Path(out).absolute())
        unit_rows = self.job.params.predict.unit_rows
        return replace(self.recipe, params=self.recipe.params | {"out": place, "unit_rows": unit_rows})


def _forget(workspace: Workspace, folder: Path) -> None:
    Workspace(str(folder), workspace.store).remove()
    workspace.remove()


def _parents(artifact: LocalArtifact, inputs: PredictInputs, store: Store) -> dict[str, str]:
    return {artifact.manifest.kind: artifact.manifest.digest, "table": table_digest(inputs.table, store)}
