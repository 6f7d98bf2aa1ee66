"""The flows that prepare a dataset: on one machine, or shared out over a cluster."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from prefect import flow

from unimol2_flows.cluster import DaskCluster, beside, task_runner
from unimol2_flows.inputs import (
    ArtifactPlace,
    Cluster,
    IdColumn,
    KeyedOut,
    LabelColumns,
    Out,
    Parameters,
    SmilesColumn,
    Table,
    Work,
    asked,
)
from unimol2_flows.schedule import KEY, keyed, overtaken
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, place, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import prepare as stage
from unimol2_tasks.tasks import on_task_runner, prepare_dataset, record_dataset
from unimol2_tasks.versioning import table_at

__all__ = ["DaskCluster", "prepare", "prepare_on_task_runner"]

DataRevision = Annotated[
    str | None,
    asked(
        "Data revision",
        "Branch, tag or commit of the Git repository that holds the table, kept by Git or DVC; empty: the "
        "table as it lies there.",
        pattern=r"^[^\s-]\S*$",
    ),
]


@flow(name="unimol2-prepare", flow_run_name="prepare {table}", result_serializer="json")
def prepare(
    table: Table,
    out: KeyedOut,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    label_columns: LabelColumns = None,
    store: ArtifactPlace = None,
    dask: Cluster = None,
    rev: DataRevision = None,
    id_column: IdColumn = None,
) -> ArtifactRef:
    """Turn a table of molecules into a validated dataset with 3D conformers.

    Of the parameters `prepare` counts. With `rev` the table is read as of that revision. A scheduled run
    whose work a later one has done ends as skipped.
    """
    if (skipped := overtaken()) is not None:
        return skipped  # type: ignore[no-any-return]
    columns = {"smiles_column": smiles_column, "id_column": id_column, "label_columns": label_columns}
    out = _keyed(out, params, store, table, rev, **columns)
    if dask is None:
        return prepare_dataset(table, out, params, smiles_column, id_column, label_columns, store, rev)
    shared = prepare_on_task_runner.with_options(task_runner=task_runner(dask))
    return shared(table, out, params, smiles_column, label_columns, store, dask.work, rev, id_column)


@flow(
    name="unimol2-prepare-on-task-runner", flow_run_name="prepare {table} in units", result_serializer="json"
)
def prepare_on_task_runner(
    table: Table,
    out: Out,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    label_columns: LabelColumns = None,
    store: ArtifactPlace = None,
    work: Work = None,
    rev: DataRevision = None,
    id_column: IdColumn = None,
) -> ArtifactRef:
    """The same dataset to the byte, its units shared out by the flow's own task runner.

    `prepare_on_task_runner.with_options(task_runner=...)` takes any of Prefect's; a unit that fails is tried
    again by itself, and a new run goes on with the units that are missing.
    """
    labels = None if label_columns is None else tuple(label_columns)
    inputs = stage.PrepareInputs(table, smiles_column, id_column, labels, rev)
    whole = place(out, store)
    unfinished = work or beside(whole)
    with progress_artifacts():
        made = stage.run(params.prepare, inputs, whole, store_of(store), on_task_runner, unfinished)
    record_dataset(made, table, store)
    return made


def _keyed(
    out: str, params: Params, store: ArtifactStore | None, table: str, rev: str | None, **chosen: Any
) -> str:
    """Keyed by the table as of its revision, just as the same table of the working tree would be."""
    if rev is None or KEY not in out:
        return keyed(out, params, store, table, sections=("prepare",), **chosen)
    with TemporaryDirectory() as folder:
        as_of_then = table_at(table, rev, Path(folder))[0]
        return keyed(out, params, store, as_of_then, sections=("prepare",), **chosen)
