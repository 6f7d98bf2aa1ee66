"""The flow that fine-tunes a predictor, the members of an ensemble as mapped tasks."""

from typing import Annotated

from prefect import flow, unmapped
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, LaunchProfile, reference, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.stages.finetune import members
from unimol2_tasks.tasks import finetune_predictor, join_ensemble, prepare_dataset


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
    parallel: Annotated[int, Field(ge=1)] = 1,
) -> ArtifactRef:
    """Prepare labelled molecules and fine-tune a pretrained model on them.

    Args:
        table: CSV or TSV file with labels, local or `s3://`.
        out: A folder or `s3://` prefix; the dataset and the predictor go below it.
        model: A pretrained model's folder or address; none: from scratch.
        params: Parameters; `prepare` and `finetune` count here. With `finetune.seeds` or
            `finetune.cross_validate` each training is a task of its own, and the predictor is their ensemble.
        smiles_column: Column with SMILES; none: guessed where unambiguous.
        label_columns: Columns to learn; none: all numeric ones.
        launch: How training is launched; none: as `params` says.
        store: How S3 is reached; none: as the environment says.
        parallel: Members of an ensemble that are trained at the same time.
    """
    params = params if launch is None else launch.apply(params)
    pretrained = None if model is None else reference(model, "model", store)
    dataset = prepare_dataset(table, f"{out}/dataset", params, smiles_column, None, label_columns, store)
    if not params.finetune.seeds and not params.finetune.cross_validate:
        return finetune_predictor(dataset, pretrained, f"{out}/predictor", params, store)
    in_threads = finetune_on_task_runner.with_options(
        task_runner=ThreadPoolTaskRunner(max_workers=parallel)  # type: ignore[arg-type]
    )
    return in_threads(dataset, out, pretrained, params, store)


@flow(
    name="unimol2-finetune-on-task-runner",
    flow_run_name="fine-tune members on {dataset.digest:.12}",
    result_serializer="json",
)
def finetune_on_task_runner(
    dataset: ArtifactRef,
    out: str,
    model: ArtifactRef | None = None,
    params: Params = Params(),
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Train the members of an ensemble wherever the flow's own task runner says, and join them.

    `finetune_on_task_runner.with_options(task_runner=...)` takes any of Prefect's.

    Args:
        dataset: A labelled dataset.
        out: A folder or `s3://` prefix; `members/NAME` and `predictor` go below it.
        model: What every member starts from; none: from scratch.
        params: `finetune.seeds` and `finetune.cross_validate` say which members.
        store: As in `finetune`.
    """
    trainings = members(params, dataset.uri, store_of(store))
    trained = finetune_predictor.map(
        unmapped(dataset),
        unmapped(model),
        [f"{out}/members/{name}" for name in trainings],
        list(trainings.values()),
        unmapped(store),
    )
    return join_ensemble(trained.result(), f"{out}/predictor", store)
