"""The flows that predict a table: on one machine, or with its molecules prepared by a cluster."""

from prefect import flow

from unimol2_flows.cluster import DaskCluster, beside, task_runner
from unimol2_flows.inputs import (
    ArtifactPlace,
    Cluster,
    IdColumn,
    Library,
    OutFile,
    Parameters,
    Predictor,
    SmilesColumn,
    Work,
)
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import place, reference, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import predict as stage
from unimol2_tasks.tasks import on_task_runner, predict_table, record_predictions

__all__ = ["DaskCluster", "predict", "predict_on_task_runner"]


@flow(name="unimol2-predict", flow_run_name="predict {table}", result_serializer="json")
def predict(
    predictor: Predictor,
    table: Library,
    out: OutFile,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    store: ArtifactPlace = None,
    dask: Cluster = None,
    id_column: IdColumn = None,
) -> ArtifactRef:
    """Predict every row of a table, in its order.

    Of the parameters `predict` counts.
    """
    if dask is None:
        ref = reference(predictor, "predictor", store)
        return predict_table(ref, table, out, params, smiles_column, store, id_column)
    shared = predict_on_task_runner.with_options(task_runner=task_runner(dask))
    return shared(predictor, table, out, params, smiles_column, store, dask.work, id_column)


@flow(
    name="unimol2-predict-on-task-runner", flow_run_name="predict {table} in units", result_serializer="json"
)
def predict_on_task_runner(
    predictor: Predictor,
    table: Library,
    out: OutFile,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    store: ArtifactPlace = None,
    work: Work = None,
    id_column: IdColumn = None,
) -> ArtifactRef:
    """The same file to the byte; the flow's own task runner prepares the molecules, unit by unit.

    The network runs where the flow does: conformers take nearly all of the time. A unit that fails is tried
    again by itself, and a new run goes on with the units that are missing. `predict.unit_rows` is how finely
    the work is shared out.
    """
    whole = place(out, store)
    ref = reference(predictor, "predictor", store)
    inputs = stage.PredictInputs(ref.uri, table, smiles_column, id_column)
    sharing = stage.Sharing(on_task_runner, work or beside(whole))
    with progress_artifacts():
        made = stage.run(params, inputs, whole, store_of(store), sharing)
    record_predictions(made, ref, table, store)
    return made
