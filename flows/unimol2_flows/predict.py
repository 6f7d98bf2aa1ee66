"""The flows that predict a table: on one machine, or with its molecules prepared by a cluster."""

from prefect import flow

from unimol2_flows.cluster import DaskCluster, beside, task_runner
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, reference, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.stages import predict as stage
from unimol2_tasks.tasks import on_task_runner, predict_table

__all__ = ["DaskCluster", "predict", "predict_on_task_runner"]


@flow(name="unimol2-predict", flow_run_name="predict {table}", result_serializer="json")
def predict(
    predictor: str,
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    store: ArtifactStore | None = None,
    dask: DaskCluster | None = None,
) -> ArtifactRef:
    """Predict every row of a table, in its order.

    Args:
        predictor: A predictor's folder or `s3://` address.
        table: CSV, TSV, SMILES, SDF, Parquet or LMDB file, a folder or glob of them; local or `s3://`.
        out: A `.csv` or `.parquet` file, local or `s3://`.
        params: Parameters; `predict` counts here.
        smiles_column: Column with SMILES; none: guessed where unambiguous.
        store: How S3 is reached; none: as the environment says.
        dask: The cluster that prepares the molecules; none: processes of this machine.
    """
    if dask is None:
        ref = reference(predictor, "predictor", store)
        return predict_table(ref, table, out, params, smiles_column, store)
    shared = predict_on_task_runner.with_options(task_runner=task_runner(dask))
    return shared(predictor, table, out, params, smiles_column, store, dask.work)


@flow(
    name="unimol2-predict-on-task-runner", flow_run_name="predict {table} in units", result_serializer="json"
)
def predict_on_task_runner(
    predictor: str,
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    store: ArtifactStore | None = None,
    work: str | None = None,
) -> ArtifactRef:
    """The same file to the byte; the flow's own task runner prepares the molecules, unit by unit.

    The network runs where the flow does: conformers take nearly all of the time. A unit that fails is tried
    again by itself, and a new run goes on with the units that are missing.

    Args:
        predictor: As in `predict`.
        table: As in `predict`.
        out: As in `predict`.
        params: As in `predict`; `predict.unit_rows` is how finely the work is shared out.
        smiles_column: As in `predict`.
        store: As in `predict`.
        work: Folder or `s3://` prefix for unfinished work that every worker reaches; none: beside `out`.
    """
    inputs = stage.PredictInputs(predictor, table, smiles_column)
    sharing = stage.Sharing(on_task_runner, work or beside(out))
    return stage.run(params, inputs, out, store_of(store), sharing)
