"""The flows that prepare a dataset: on one machine, or shared out over a cluster."""

from prefect import flow

from unimol2_flows.cluster import DaskCluster, beside, task_runner
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.stages import prepare as stage
from unimol2_tasks.tasks import on_task_runner, prepare_dataset

__all__ = ["DaskCluster", "prepare", "prepare_on_task_runner"]


@flow(name="unimol2-prepare", flow_run_name="prepare {table}", result_serializer="json")
def prepare(
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    label_columns: list[str] | None = None,
    store: ArtifactStore | None = None,
    dask: DaskCluster | None = None,
) -> ArtifactRef:
    """Turn a table of molecules into a validated dataset with 3D conformers.

    Args:
        table: CSV, TSV, SMILES, SDF, Parquet or LMDB file, a folder or glob of them; local or `s3://`.
        out: A new folder or an `s3://` prefix.
        params: Parameters; `prepare` counts here.
        smiles_column: Column with SMILES; none: guessed where unambiguous.
        label_columns: Columns with labels; none: all numeric ones.
        store: How S3 is reached; none: as the environment says.
        dask: The cluster that shares the work; none: processes of this machine.
    """
    if dask is None:
        return prepare_dataset(table, out, params, smiles_column, None, label_columns, store)
    shared = prepare_on_task_runner.with_options(task_runner=task_runner(dask))
    return shared(table, out, params, smiles_column, label_columns, store, dask.work)


@flow(
    name="unimol2-prepare-on-task-runner", flow_run_name="prepare {table} in units", result_serializer="json"
)
def prepare_on_task_runner(
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    label_columns: list[str] | None = None,
    store: ArtifactStore | None = None,
    work: str | None = None,
) -> ArtifactRef:
    """The same dataset to the byte, its units shared out by the flow's own task runner.

    `prepare_on_task_runner.with_options(task_runner=...)` takes any of Prefect's; a unit that fails is tried
    again by itself, and a new run goes on with the units that are missing.

    Args:
        table: As in `prepare`.
        out: As in `prepare`.
        params: As in `prepare`.
        smiles_column: As in `prepare`.
        label_columns: As in `prepare`.
        store: As in `prepare`.
        work: Folder or `s3://` prefix for unfinished work that every worker reaches; none: beside `out`.
    """
    labels = None if label_columns is None else tuple(label_columns)
    inputs = stage.PrepareInputs(table, smiles_column, None, labels)
    return stage.run(params.prepare, inputs, out, store_of(store), on_task_runner, work or beside(out))
