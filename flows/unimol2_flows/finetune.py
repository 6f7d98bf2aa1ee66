"""The flow that fine-tunes a predictor."""

from prefect import flow

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, LaunchProfile, reference
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import finetune_predictor, prepare_dataset


@flow(name="unimol2-finetune", flow_run_name="fine-tune on {table}", result_serializer="json")
def finetune(
    table: str,
    out: str,
    model: str | None = None,
    params: Params = Params(),
    smiles_column: str | None = None,
    label_columns: list[str] | None = None,
    launch: LaunchProfile | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Prepare labelled molecules and fine-tune a pretrained model on them.

    Args:
        table: CSV or TSV file with labels, local or `s3://`.
        out: A folder or `s3://` prefix; the dataset and the predictor go below it.
        model: A pretrained model's folder or address; none: from scratch.
        params: Parameters; `prepare` and `finetune` count here.
        smiles_column: Column with SMILES; none: guessed where unambiguous.
        label_columns: Columns to learn; none: all numeric ones.
        launch: How training is launched; none: as `params` says.
        store: How S3 is reached; none: as the environment says.
    """
    params = params if launch is None else launch.apply(params)
    pretrained = None if model is None else reference(model, "model", store)
    dataset = prepare_dataset(table, f"{out}/dataset", params, smiles_column, None, label_columns, store)
    return finetune_predictor(dataset, pretrained, f"{out}/predictor", params, store)
