"""The flow that pretrains a model."""

from prefect import flow

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, LaunchProfile
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import prepare_dataset, pretrain_model


@flow(
    name="unimol2-pretrain",
    flow_run_name="pretrain {params.model.preset} on {table}",
    result_serializer="json",
)
def pretrain(
    table: str,
    out: str,
    params: Params = Params(),
    launch: LaunchProfile | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Prepare molecules and pretrain a network on them.

    Args:
        table: CSV, TSV or SMILES file, local or `s3://`.
        out: A folder or `s3://` prefix; the dataset and the model go below it.
        params: Parameters; `prepare`, `model` and `pretrain` count here.
        launch: How training is launched; none: as `params` says.
        store: How S3 is reached; none: as the environment says.
    """
    params = params if launch is None else launch.apply(params)
    dataset = prepare_dataset(table, f"{out}/dataset", params, label_columns=[], store=store)
    return pretrain_model(dataset, f"{out}/model", params, store)
