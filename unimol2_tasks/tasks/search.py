"""The tasks of a search for hyper-parameters."""

from collections.abc import Iterator, Sequence

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, place, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import search
from unimol2_tasks.stages.hyperparameters.trials import Trial
from unimol2_tasks.summaries import trial_rows
from unimol2_tasks.task_cache import remembered
from unimol2_tasks.tasks.artifacts import address, address_of, fetch
from unimol2_tasks.tasks.assets import materialised
from unimol2_tasks.tasks.options import REPEATED, STEP
from unimol2_tasks.tasks.results import results_of
from unimol2_tasks.tasks.shown import show_page
from unimol2_tasks.tasks.training_slot import training_slot


@task(
    name="search hyper-parameters",
    description="Fine-tune with many parameters, one trial after the other, and keep those of the best.",
    task_run_name="search on {dataset.digest:.12}",
    tags=["unimol2", "train"],
    **STEP,
)
def search_hyperparameters(
    dataset: ArtifactRef,
    model: ArtifactRef | None,
    out: str,
    params: Params = Params(),
    refit: str | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Fine-tune with many parameters, one trial after the other, and keep those of the best.

    Args:
        dataset: A labelled dataset.
        model: What every trial starts from; none: from scratch.
        out: Where the table of trials and the parameters of the best go.
        params: `search` says which keys of `finetune` take which values.
        refit: Where a predictor with the best parameters goes; none: it is not made.
        store: Where artifacts live; none: folders, and S3 as the environment says.

    Raises:
        UserError: An artifact or a wanted label is missing, or every trial failed.
        TrainingFailed: A trial was stopped; another run goes on.
    """
    refitted = None if refit is None else place(refit, store)
    inputs = search.SearchInputs(address(dataset, store), address_of(model, store), refitted)
    with progress_artifacts(), training_slot(params.launch):
        ref = search.run(params, inputs, place(out, store), store_of(store))
    _show(ref, dataset, store)
    return remembered(ref)


@task(
    name="train trial",
    description="Train one trial of a search.",
    task_run_name="trial {trial.number}",
    tags=["unimol2", "train"],
    cache_policy=NO_CACHE,
    persist_result=False,
    **REPEATED,
)
def train_trial(trial: Trial) -> None:
    """Train one trial of a search that is shared out over the flow's task runner."""
    with progress_artifacts(), training_slot(trial.params.launch):
        trial.train()


def trials_on_task_runner(trials: Sequence[Trial]) -> Iterator[Trial]:
    """Train trials wherever the flow's task runner says; for `work_on` of `stages.search.run`.

    Trials in threads end with the flow where it works inside `interruptible_threads()`.
    """
    for trial, _ in zip(trials, results_of(train_trial.map(trials)), strict=True):
        yield trial


@task(
    name="record search",
    description="Show a search that a flow made by itself, and from what it was made.",
    task_run_name="record {ref.uri}",
    tags=["unimol2"],
    cache_policy=NO_CACHE,
    persist_result=False,
    **REPEATED,
)
def record_search(ref: ArtifactRef, dataset: ArtifactRef, store: ArtifactStore | None = None) -> None:
    """Show a search that a flow made by itself, and from what it was made."""
    _show(ref, dataset, store)


def _show(ref: ArtifactRef, dataset: ArtifactRef, store: ArtifactStore | None) -> None:
    found = fetch(ref, store)
    create_table_artifact(trial_rows(found.path), key="unimol2-trials", description=f"{ref.uri}/trials.html")
    show_page("unimol2-search", found, "trials.html", "Trials of the search")
    materialised(ref, found.manifest, {"dataset": dataset.uri})
