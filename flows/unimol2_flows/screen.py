"""The flow that predicts a library, the work on its molecules sharded over workers."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.runtime import flow_run as this_run
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, ConfigDict, Field

from unimol2_flows.cluster import beside
from unimol2_flows.inputs import (
    ArtifactPlace,
    IdColumn,
    Library,
    OutFile,
    Parameters,
    Predictor,
    SmilesColumn,
    Work,
    asked,
)
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import place, reference, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import predict as stage
from unimol2_tasks.tasks import interruptible_threads, record_predictions
from unimol2_tasks.tasks.screen import Sharding
from unimol2_tasks.tasks.shard_runs import cancel, shards_tag
from unimol2_tasks.tasks.shards import Shard, prepare_shard


class Workers(BaseModel):
    """Who works on the shards of a library."""

    model_config = ConfigDict(extra="forbid")

    deployment: str | None = Field(
        None,
        pattern=r"^[^/]+/[^/]+$",
        description="Deployment whose workers get a run per shard: unimol2-screen-shard/screen-shard; "
        "empty: this machine works on all.",
    )
    at_a_time: int = Field(2, ge=1, description="Shards that are worked on at the same time.")
    units: int = Field(8, ge=1, description="Units of `predict.unit_rows` rows per shard.")
    hours: float | None = Field(
        None, gt=0, description="Time after which a shard's run is cancelled and repeated; empty: never."
    )


Sharded = Annotated[Workers, asked("Shards and workers", "How the library is cut, and who works on it.")]
_THIS_MACHINE = Workers()


def cancel_shards(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Cancel the runs of a screening's shards when it is cancelled, fails or crashes itself."""
    cancel(flow_run.id)


@flow(
    name="unimol2-screen",
    flow_run_name="screen {library}",
    result_serializer="json",
    on_cancellation=[cancel_shards],
    on_failure=[cancel_shards],
    on_crashed=[cancel_shards],
)
def screen(
    predictor: Predictor,
    library: Library,
    out: OutFile,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    workers: Sharded = _THIS_MACHINE,
    store: ArtifactPlace = None,
    work: Work = None,
    id_column: IdColumn = None,
) -> ArtifactRef:
    """Predict a library, the work on its molecules sharded over workers.

    The same file to the byte as that of `predict`: a row out for each row in, in the same order. The network
    runs where this flow does: conformers take nearly all of the time. The shard of a worker that died is
    repeated from the unit that it had reached; the others are not. Workers of a deployment must reach library
    and unfinished work under the same address, and a given artifact store must be saved.
    """
    in_threads = screen_on_task_runner.with_options(
        task_runner=ThreadPoolTaskRunner(max_workers=workers.at_a_time)  # type: ignore[arg-type]
    )
    return in_threads(predictor, library, out, params, smiles_column, workers, store, work, id_column)


@flow(
    name="unimol2-screen-on-task-runner",
    flow_run_name="screen {library} in shards",
    result_serializer="json",
    on_cancellation=[cancel_shards],
    on_failure=[cancel_shards],
    on_crashed=[cancel_shards],
)
def screen_on_task_runner(
    predictor: Predictor,
    library: Library,
    out: OutFile,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    workers: Sharded = _THIS_MACHINE,
    store: ArtifactPlace = None,
    work: Work = None,
    id_column: IdColumn = None,
) -> ArtifactRef:
    """The same, its shards submitted to the flow's own task runner.

    `screen_on_task_runner.with_options(task_runner=...)` takes any of Prefect's.
    """
    # Whoever is cancelled, `screen` or this flow, has to find the runs.
    own, above = this_run.id, this_run.parent_flow_run_id
    whole = place(out, store)
    ref = reference(predictor, "predictor", store)
    sharding = Sharding(
        table=library,
        smiles_column=smiles_column,
        id_column=id_column,
        unit_rows=params.predict.unit_rows,
        units=workers.units,
        deployment=workers.deployment,
        hours=workers.hours,
        tags=tuple(shards_tag(run) for run in (own, above) if run is not None),
        store=store,
    )
    inputs = stage.PredictInputs(ref.uri, library, smiles_column, id_column)
    sharing = stage.Sharing(sharding.work_on, work or beside(whole))
    with progress_artifacts(), interruptible_threads():
        made = stage.run(params, inputs, whole, store_of(store), sharing)
    record_predictions(made, ref, library, store)
    return made


@flow(name="unimol2-screen-shard", flow_run_name="{shard.name}", result_serializer="json")
def screen_shard(shard: Shard, store: ArtifactPlace = None) -> None:
    """Work on the molecules of some rows of a library, for a screening that runs elsewhere."""
    prepare_shard(shard, store)
