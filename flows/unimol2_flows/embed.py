"""The flows that embed a table: on one machine, or with its molecules prepared by a cluster."""

from prefect import flow

from unimol2_flows.cluster import DaskCluster, beside, task_runner
from unimol2_flows.inputs import (
    ArtifactPlace,
    Atoms,
    Cluster,
    EmbeddingModel,
    IdColumn,
    OutFile,
    Parameters,
    SmilesColumn,
    Table,
    Work,
)
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import place, reference, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import predict as stage
from unimol2_tasks.tasks import embed_table, on_task_runner, record_predictions

__all__ = ["DaskCluster", "embed", "embed_on_task_runner"]


@flow(name="unimol2-embed", flow_run_name="embed {table}", result_serializer="json")
def embed(
    model: EmbeddingModel,
    table: Table,
    out: OutFile,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    store: ArtifactPlace = None,
    dask: Cluster = None,
    id_column: IdColumn = None,
    atoms: Atoms = False,
) -> ArtifactRef:
    """Write the representation of every row of a table, in its order, or of every atom.

    Of the parameters `predict` counts and, for a pretrained model, `prepare`.
    """
    if dask is None:
        # The stage refuses what is neither model nor predictor.
        ref = reference(model, None, store)
        return embed_table(ref, table, out, params, smiles_column, store, atoms, id_column)
    shared = embed_on_task_runner.with_options(task_runner=task_runner(dask))
    return shared(model, table, out, params, smiles_column, store, dask.work, id_column, atoms)


@flow(name="unimol2-embed-on-task-runner", flow_run_name="embed {table} in units", result_serializer="json")
def embed_on_task_runner(
    model: EmbeddingModel,
    table: Table,
    out: OutFile,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    store: ArtifactPlace = None,
    work: Work = None,
    id_column: IdColumn = None,
    atoms: Atoms = False,
) -> ArtifactRef:
    """The same file to the byte; the flow's own task runner prepares the molecules, unit by unit.

    As `predict_on_task_runner` does: the network runs where the flow does.
    """
    whole = place(out, store)
    ref = reference(model, None, store)
    inputs = stage.PredictInputs(ref.uri, table, smiles_column, id_column)
    sharing = stage.Sharing(on_task_runner, work or beside(whole))
    with progress_artifacts():
        made = stage.run_embed(params, inputs, whole, store_of(store), sharing, atoms)
    record_predictions(made, ref, table, store)
    return made
