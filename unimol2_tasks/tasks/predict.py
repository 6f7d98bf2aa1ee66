"""The tasks that give values for a table."""

from prefect import task

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import predict
from unimol2_tasks.tasks.artifacts import CACHED, address


@task(name="predict table", task_run_name="predict {table}", tags=["unimol2", "predict"], **CACHED)
def predict_table(
    predictor: ArtifactRef,
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Predict every row of a table, in its order; rows that fail say why.

    Raises:
        UserError: The predictor, the table or its SMILES column is missing.
    """
    inputs = predict.PredictInputs(address(predictor, store), table, smiles_column)
    with progress_artifacts():
        return predict.run(params, inputs, out, store_of(store))


@task(name="embed table", task_run_name="embed {table}", tags=["unimol2", "predict"], **CACHED)
def embed_table(
    model: ArtifactRef,
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    store: ArtifactStore | None = None,
    atoms: bool = False,
) -> ArtifactRef:
    """The representation of every row of a table, in its order, or of every atom.

    Raises:
        UserError: The model, the table or its SMILES column is missing.
    """
    inputs = predict.PredictInputs(address(model, store), table, smiles_column)
    with progress_artifacts():
        return predict.run_embed(params, inputs, out, store_of(store), atoms=atoms)
