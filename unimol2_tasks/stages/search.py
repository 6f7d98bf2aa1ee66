"""The search for hyper-parameters of fine-tuning: trials become a table, the best of them a parameter file.

A search that was killed goes on where it was: trials that have ended are not trained again, and one that was
being trained resumes from its checkpoint.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.errors import ArtifactError, UserError
from unimol2_tasks.params import Params, SearchParams
from unimol2_tasks.stages import finetune
from unimol2_tasks.stages.hyperparameters.results import read_best, write_results
from unimol2_tasks.stages.hyperparameters.rounds import Rounds, TrialResult, best_of
from unimol2_tasks.stages.hyperparameters.trials import (
    WorkOn,
    described,
    predictor_uri,
    trial_key,
    with_values,
    work_here,
)
from unimol2_tasks.training.continuation import determining


@dataclass(frozen=True, slots=True)
class SearchInputs:
    """What the trials learn from, and what is made of the best."""

    dataset: str
    """A labelled dataset's folder or `s3://` address."""
    model: str | None = None
    """A pretrained model's; none: every trial starts from scratch."""
    refit: str | None = None
    """Where a predictor with the best parameters goes; none: only its parameters are kept."""

    @property
    def training(self) -> finetune.FinetuneInputs:
        """What fine-tuning takes of them."""
        return finetune.FinetuneInputs(self.dataset, self.model)


RefitBy = Callable[[Params], object]
"""Fine-tunes with the best parameters on the search's inputs, into its `refit`."""


def run(
    params: Params,
    inputs: SearchInputs,
    out: str,
    store: Store = Store(),
    work_on: WorkOn = work_here,
    work: str | None = None,
    refit_by: RefitBy | None = None,
) -> ArtifactRef:
    """Fine-tune with many parameters; keep a table of all trials and the parameters of the best.

    Args:
        params: `search` says which keys of `finetune` take which values; the rest is as it stands.
        inputs: Dataset and model.
        out: A new folder, or a prefix on S3.
        store: How S3 is reached.
        work_on: Who trains the trials that it is given; by default this process, one after the other.
        work: Folder or S3 prefix for unfinished work, which whoever trains must reach; none: beside `out`,
            or beside the store's cache where `out` is on S3.
        refit_by: Who makes the predictor of the best parameters; none: this process.

    Raises:
        UserError: Dataset or model is missing or damaged, a label is not there, or every trial failed.
        TrainingFailed: A trial was stopped or its machine was taken away; the same call goes on.
    """
    recipe = Recipe("search", _determining(params), _parents(inputs, store))
    workspace = _workspace(params, recipe, out, store, work)
    with workspace.alone():
        ref = store.find(recipe, out) or _search(params, inputs, recipe, out, workspace, work_on)
        if inputs.refit is not None:
            _refit(params, inputs, ref, workspace, refit_by)
        workspace.remove()
    return ref


def best_params(params: Params, search: ArtifactRef, store: Store = Store()) -> Params:
    """The parameters of a search with the values of its best trial."""
    return with_values(params, read_best(store.fetch(search.uri, "search").path, params.search))


def _search(
    params: Params, inputs: SearchInputs, recipe: Recipe, out: str, workspace: Workspace, work_on: WorkOn
) -> ArtifactRef:
    of_trials = _with_seeds(params)
    results = Rounds(params.search, of_trials, inputs.training, workspace, work_on).run()
    best = best_of(results)
    if best is None:
        # Whoever changes what they have in common wants them tried again.
        workspace.remove()
        raise UserError(_all_failed(results))
    store = workspace.store
    with store.draft(out) as draft:
        write_results(draft, results, best, with_values(params, best.values))
        seconds = sum(result.outcome.seconds for result in results if result.same_as is None)
        return store.publish(draft, out, recipe, run={"seconds": round(seconds, 1)})


def _refit(
    params: Params, inputs: SearchInputs, search: ArtifactRef, workspace: Workspace, refit_by: RefitBy | None
) -> None:
    """Make the predictor of the best parameters; the trial's own is it where that was the same training."""
    assert inputs.refit is not None  # noqa: S101 - the caller has looked
    store = workspace.store
    values = read_best(store.fetch(search.uri, "search").path, params.search)
    best = with_values(params, values)
    trained = predictor_uri(workspace, trial_key(params, values))
    _take_over(best, inputs.training, trained, inputs.refit, store)
    if refit_by is None:
        finetune.run(best, inputs.training, inputs.refit, store)
    else:
        refit_by(best)


def _take_over(
    params: Params, inputs: finetune.FinetuneInputs, trained: str, refit: str, store: Store
) -> None:
    """Publish a trial's predictor once more, if it is there and was trained with these very parameters."""
    try:
        store.fetch(trained, "predictor")
        # Returned as it is, or refused because ranks or alike have been changed meanwhile.
        artifact = store.fetch(finetune.run(params, inputs, trained, store).uri, "predictor")
    except ArtifactError:
        return
    recipe = Recipe("predictor", artifact.manifest.params, artifact.manifest.parents)
    if store.find(recipe, refit) is not None:
        return
    with store.draft(refit) as draft:
        shutil.copytree(artifact.path, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        store.publish(draft, refit, recipe, run=artifact.manifest.run)


def _with_seeds(params: Params) -> Params:
    """The parameters of every trial, but for the searched values."""
    seeds = params.search.seeds
    if not seeds:
        return params
    return with_values(params, {"seed": seeds[0], "seeds": ()} if len(seeds) == 1 else {"seeds": seeds})


def _parents(inputs: SearchInputs, store: Store) -> dict[str, str]:
    parents = {"dataset": store.fetch(inputs.dataset, "dataset").manifest.digest}
    if inputs.model is not None:
        parents["model"] = store.fetch(inputs.model, "model").manifest.digest
    return parents


def _determining(params: Params) -> dict[str, Any]:
    # Of a grid and of random values none learns from another, so how many run at once is of no matter.
    excluded = set() if params.search.sampler == "tpe" else {"parallel"}
    return {
        "search": params.search.model_dump(mode="json", exclude=excluded),
        "model": params.model.model_dump(mode="json"),
        "finetune": _not_searched(determining(params.finetune), params.search),
    }


def _not_searched(finetune_values: dict[str, Any], search: SearchParams) -> dict[str, Any]:
    return {key: value for key, value in finetune_values.items() if key not in search.space}


def _workspace(params: Params, recipe: Recipe, out: str, store: Store, work: str | None) -> Workspace:
    """Where trials leave what they find; a search with more trials, or another sampler, finds it again."""
    place = out.rstrip("/").rpartition("/")[2]
    settings = {"model": recipe.params["model"], "out": place}
    folder = store.work_folder(out, replace(recipe, params=settings))
    return Workspace(str(folder) if work is None else f"{work.rstrip('/')}/{folder.name}", store)


def _all_failed(results: Sequence[TrialResult]) -> str:
    first = results[0]
    return (
        f"search: all {len(results)} trials failed, the first ({described(first.values)}) because: "
        f"{first.outcome.reason}; change search.space or what stands in finetune"
    )
