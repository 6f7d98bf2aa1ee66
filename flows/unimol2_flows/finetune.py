"""The flow that fine-tunes a predictor, the members of an ensemble as mapped tasks."""

from typing import Annotated

from prefect import flow, unmapped
from prefect.task_runners import ThreadPoolTaskRunner

from unimol2_flows.inputs import (
    ArtifactPlace,
    IdColumn,
    LabelColumns,
    LabelledTable,
    Launch,
    Model,
    Out,
    Parameters,
    SmilesColumn,
    asked,
)
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import place, reference, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.stages.finetune import as_made, members
from unimol2_tasks.tasks import (
    finetune_predictor,
    interruptible_threads,
    join_ensemble,
    prepare_dataset,
    results_of,
)

Parallel = Annotated[
    int, asked("Trainings at a time", "Members of an ensemble that are trained at the same time.", ge=1)
]


@flow(name="unimol2-finetune", flow_run_name="fine-tune on {table}", result_serializer="json")
def finetune(
    table: LabelledTable,
    out: Out,
    model: Model = None,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    label_columns: LabelColumns = None,
    launch: Launch = None,
    store: ArtifactPlace = None,
    parallel: Parallel = 1,
    id_column: IdColumn = None,
) -> ArtifactRef:
    """Prepare labelled molecules and fine-tune a pretrained model on them.

    The dataset and the predictor go below `out`. Of the parameters `prepare` and `finetune` count; with
    `finetune.seeds` or `finetune.cross_validate` each training is a task of its own, and the predictor is
    their ensemble.
    """
    params = params if launch is None else launch.apply(params, "finetune")
    pretrained = None if model is None else reference(model, "model", store)
    dataset = prepare_dataset(table, f"{out}/dataset", params, smiles_column, id_column, label_columns, store)
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
    out: Out,
    model: ArtifactRef | None = None,
    params: Parameters = Params(),
    store: ArtifactPlace = None,
) -> ArtifactRef:
    """Train the members of an ensemble wherever the flow's own task runner says, and join them.

    `finetune_on_task_runner.with_options(task_runner=...)` takes any of Prefect's. `members/NAME` and
    `predictor` go below `out`; `finetune.seeds` and `finetune.cross_validate` say which members.
    """
    trainings = members(params, dataset.uri, store_of(store))
    places = [f"{out}/members/{name}" for name in trainings]
    with interruptible_threads():
        training = finetune_predictor.map(
            unmapped(dataset),
            unmapped(model),
            places,
            [
                as_made(member, place(folder, store), store_of(store))
                for folder, member in zip(places, trainings.values(), strict=True)
            ],
            unmapped(store),
        )
        trained = list(results_of(training))
    return join_ensemble(trained, f"{out}/predictor", store)
