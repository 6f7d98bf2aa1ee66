"""The flow of the scaling study."""

from prefect import flow

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore
from unimol2_tasks.params import ModelParams, Params
from unimol2_tasks.tasks import fit_scaling_law, prepare_dataset, pretrain_model


@flow(name="unimol2-scaling", flow_run_name="scaling study on {table}", result_serializer="json")
def scaling(
    table: str,
    out: str,
    sizes: list[ModelParams],
    params: Params = Params(),
    skip_steps: int = 0,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Pretrain several sizes on the same molecules and fit the scaling law to their curves.

    Args:
        table: CSV, TSV or SMILES file, local or `s3://`.
        out: A folder or `s3://` prefix; the dataset, the models and the law go below it.
        sizes: The networks, at least two of different size.
        params: Parameters; `prepare` and `pretrain` count here.
        skip_steps: Steps at the start of each curve that do not count.
        store: How S3 is reached; none: as the environment says.
    """
    dataset = prepare_dataset(table, f"{out}/dataset", params, label_columns=[], store=store)
    models = [
        pretrain_model(dataset, f"{out}/model-{number}", params.model_copy(update={"model": size}), store)
        for number, size in enumerate(sizes)
    ]
    return fit_scaling_law(models, f"{out}/law", skip_steps, params.pretrain.seed, store)
