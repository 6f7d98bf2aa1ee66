"""The flow that searches for hyper-parameters of fine-tuning, its trials as mapped tasks."""

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel

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
    Work,
)
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import place, reference, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.stages import search as stage
from unimol2_tasks.tasks import (
    finetune_predictor,
    interruptible_threads,
    prepare_dataset,
    record_search,
    trials_on_task_runner,
)


class SearchResult(BaseModel):
    """What the flow made."""

    dataset: ArtifactRef
    search: ArtifactRef
    predictor: ArtifactRef
    """Trained with the best parameters."""


@flow(name="unimol2-search", flow_run_name="search on {table}", result_serializer="json")
def search(
    table: LabelledTable,
    out: Out,
    model: Model = None,
    params: Parameters = Params(),
    smiles_column: SmilesColumn = None,
    label_columns: LabelColumns = None,
    launch: Launch = None,
    store: ArtifactPlace = None,
    id_column: IdColumn = None,
) -> SearchResult:
    """Prepare labelled molecules, fine-tune with many parameters, and keep the best predictor.

    Started again with the same inputs it goes on: trials that have ended are not trained again. The dataset,
    the search and the predictor go below `out`. Of the parameters `prepare`, `finetune` and `search` count;
    `search.parallel` says how many trials are trained at the same time.
    """
    params = params if launch is None else launch.apply(params, "finetune")
    pretrained = None if model is None else reference(model, "model", store)
    dataset = prepare_dataset(table, f"{out}/dataset", params, smiles_column, id_column, label_columns, store)
    in_threads = search_on_task_runner.with_options(
        task_runner=ThreadPoolTaskRunner(max_workers=params.search.parallel)  # type: ignore[arg-type]
    )
    found = in_threads(dataset, f"{out}/search", pretrained, params, f"{out}/predictor", store)
    best = stage.best_params(params, found, store_of(store))
    predictor = finetune_predictor(dataset, pretrained, f"{out}/predictor", best, store)
    return SearchResult(dataset=dataset, search=found, predictor=predictor)


@flow(
    name="unimol2-search-on-task-runner",
    flow_run_name="search on {dataset.digest:.12}",
    result_serializer="json",
)
def search_on_task_runner(
    dataset: ArtifactRef,
    out: Out,
    model: ArtifactRef | None = None,
    params: Parameters = Params(),
    refit: str | None = None,
    store: ArtifactPlace = None,
    work: Work = None,
) -> ArtifactRef:
    """The same search, its trials shared out by the flow's own task runner.

    `search_on_task_runner.with_options(task_runner=...)` takes any of Prefect's.

    Args:
        dataset: A labelled dataset.
        out: A new folder or an `s3://` prefix.
        model: What every trial starts from; none: from scratch.
        params: As in `search`.
        refit: Where a predictor with the best parameters goes; none: it is not made.
        store: As in `search`.
        work: Folder or `s3://` prefix for unfinished work that every worker reaches; none: beside `out`.
    """
    places = store_of(store)
    labelled = places.fetch(dataset.uri, "dataset", dataset.digest).uri
    pretrained = None if model is None else places.fetch(model.uri, "model", model.digest).uri
    inputs = stage.SearchInputs(labelled, pretrained, None if refit is None else place(refit, store))

    def refit_by(best: Params) -> ArtifactRef:
        return finetune_predictor(dataset, model, str(refit), best, store)

    with interruptible_threads():
        found = stage.run(params, inputs, place(out, store), places, trials_on_task_runner, work, refit_by)
    record_search(found, dataset, store)
    return found
