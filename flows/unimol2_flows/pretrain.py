"""The flow that pretrains a model."""

from prefect import flow

from unimol2_flows.inputs import ArtifactPlace, Launch, Model, Out, Parameters, Table
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import reference
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import prepare_dataset, pretrain_model


@flow(
    name="unimol2-pretrain",
    flow_run_name="pretrain {params.model.preset} on {table}",
    result_serializer="json",
)
def pretrain(
    table: Table,
    out: Out,
    params: Parameters = Params(),
    launch: Launch = None,
    store: ArtifactPlace = None,
    model: Model = None,
) -> ArtifactRef:
    """Prepare molecules and pretrain a network on them.

    The dataset and the model go below `out`. Of the parameters `prepare`, `model` and `pretrain` count.
    """
    params = params if launch is None else launch.apply(params, "pretrain")
    dataset = prepare_dataset(table, f"{out}/dataset", params, label_columns=[], store=store)
    start = None if model is None else reference(model, "model", store)
    return pretrain_model(dataset, f"{out}/model", params, store, start)
