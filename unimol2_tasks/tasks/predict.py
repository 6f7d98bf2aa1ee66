"""The tasks that give values for a table."""

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.single_file import verify_file
from unimol2_tasks.blocks import ArtifactStore, place, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import predict
from unimol2_tasks.summaries import prediction_card
from unimol2_tasks.task_cache import remembered
from unimol2_tasks.tasks.artifacts import address
from unimol2_tasks.tasks.assets import materialised
from unimol2_tasks.tasks.options import REPEATED, STEP


@task(
    name="predict table",
    description="Predict every row of a table, in its order.",
    task_run_name="predict {table} with {predictor.digest:.12}",
    tags=["unimol2", "predict"],
    **STEP,
)
def predict_table(
    predictor: ArtifactRef,
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    store: ArtifactStore | None = None,
    id_column: str | None = None,
) -> ArtifactRef:
    """Predict every row of a table, in its order; rows that fail say why.

    Raises:
        UserError: The predictor, the table or one of its columns is missing.
    """
    inputs = predict.PredictInputs(address(predictor, store), table, smiles_column, id_column)
    with progress_artifacts():
        ref = predict.run(params, inputs, place(out, store), store_of(store))
    _show(ref, predictor, table, store)
    return remembered(ref)


@task(
    name="embed table",
    description="The representation of every row of a table, or of every atom.",
    task_run_name="embed {table} with {model.digest:.12}",
    tags=["unimol2", "predict"],
    **STEP,
)
def embed_table(
    model: ArtifactRef,
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    store: ArtifactStore | None = None,
    atoms: bool = False,
    id_column: str | None = None,
) -> ArtifactRef:
    """The representation of every row of a table, in its order, or of every atom.

    Raises:
        UserError: The model, the table or one of its columns is missing.
    """
    inputs = predict.PredictInputs(address(model, store), table, smiles_column, id_column)
    with progress_artifacts():
        ref = predict.run_embed(params, inputs, place(out, store), store_of(store), atoms=atoms)
    _show(ref, model, table, store)
    return remembered(ref)


@task(
    name="record predictions",
    description="Show predictions that a flow made by itself, and from what they were made.",
    task_run_name="record {ref.uri}",
    tags=["unimol2", "predict"],
    cache_policy=NO_CACHE,
    persist_result=False,
    **REPEATED,
)
def record_predictions(
    ref: ArtifactRef, predictor: ArtifactRef, table: str, store: ArtifactStore | None = None
) -> None:
    """Show predictions that a flow made by itself, and from what they were made."""
    _show(ref, predictor, table, store)


def _show(ref: ArtifactRef, source: ArtifactRef, table: str, store: ArtifactStore | None) -> None:
    manifest = verify_file(store_of(store), ref.uri)
    if manifest is None:
        return
    card = prediction_card(manifest, ref.uri)
    create_markdown_artifact(card, key=f"unimol2-{ref.kind}", description=ref.uri)
    materialised(ref, manifest, {source.kind: source.uri, "table": table})
