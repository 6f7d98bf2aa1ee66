"""The Prefect tasks: thin doors to the stages, for flows of ours and of others.

Each takes and returns small JSON (`ArtifactRef`: kind, address, digest), never a tensor or a table; each
is cached by the digests of its inputs, its parameters and the version of the code.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.blocks import ArtifactStore, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import (
    ensemble,
    evaluate,
    finetune,
    predict,
    prepare,
    pretrain,
    scaling,
    search,
    study_report,
)
from unimol2_tasks.stages.trials import Trial
from unimol2_tasks.stages.units import Unit, work_here
from unimol2_tasks.summaries import data_card, metric_rows, score_rows, trial_rows
from unimol2_tasks.task_cache import cache_key

_CACHED: dict[str, Any] = {
    "cache_key_fn": cache_key,
    "persist_result": True,
    # The default is pickle.
    "result_serializer": "json",
}
_UNITS_IN_FLIGHT = 256
"""Units that are submitted ahead: enough for a cluster, and few enough that their rows fit in memory."""


@task(name="prepare dataset", task_run_name="prepare {table}", tags=["unimol2", "prepare"], **_CACHED)
def prepare_dataset(
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    id_column: str | None = None,
    label_columns: list[str] | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Turn a table of molecules (CSV, TSV, SMILES; file or `s3://`) into a dataset.

    Columns that are not named are guessed where that is unambiguous.

    Raises:
        UserError: The table or a column is missing, or no molecule could be used.
    """
    inputs = prepare.PrepareInputs(
        table, smiles_column, id_column, None if label_columns is None else tuple(label_columns)
    )
    with progress_artifacts():
        ref = prepare.run(params.prepare, inputs, out, store_of(store))
    create_markdown_artifact(data_card(_fetch(ref, store)), key="unimol2-data-card", description=ref.uri)
    return ref


@task(
    name="prepare unit",
    task_run_name="{unit.stage} unit {unit.number}",
    tags=["unimol2", "prepare"],
    retries=2,
    retry_delay_seconds=10,
    retry_jitter_factor=0.5,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def prepare_unit(unit: Unit) -> None:
    """Work on one unit of a preparation or prediction that is shared out over the flow's task runner."""
    for _ in work_here([unit], workers=1):
        pass


def on_task_runner(units: Iterable[Unit]) -> Iterator[Unit]:
    """Work on units wherever the flow's task runner says; for `work_on` of `stages.prepare` and `predict`."""
    waiting: deque[tuple[Unit, PrefectFuture[None]]] = deque()
    for unit in units:
        waiting.append((unit, prepare_unit.submit(unit)))
        if len(waiting) >= _UNITS_IN_FLIGHT:
            yield _done(*waiting.popleft())
    while waiting:
        yield _done(*waiting.popleft())


def _done(unit: Unit, future: "PrefectFuture[None]") -> Unit:
    future.result()
    return unit


@task(
    name="pretrain model",
    task_run_name="pretrain on {dataset.digest:.12}",
    tags=["unimol2", "train"],
    **_CACHED,
)
def pretrain_model(
    dataset: ArtifactRef, out: str, params: Params = Params(), store: ArtifactStore | None = None
) -> ArtifactRef:
    """Pretrain a network with DeepSpeed in processes of its own; resumes by itself.

    Raises:
        UserError: The dataset is missing or a parameter impossible on this machine.
        TrainingFailed: Training ended without a result.
    """
    with progress_artifacts():
        ref = pretrain.run(params, pretrain.PretrainInputs(_address(dataset, store)), out, store_of(store))
    _metrics_artifact("unimol2-pretraining", ref, store)
    return ref


@task(
    name="fine-tune predictor",
    task_run_name="fine-tune on {dataset.digest:.12}",
    tags=["unimol2", "train"],
    **_CACHED,
)
def finetune_predictor(
    dataset: ArtifactRef,
    model: ArtifactRef | None,
    out: str,
    params: Params = Params(),
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Fine-tune a model on a labelled dataset; without a model the network starts from scratch.

    Raises:
        UserError: An artifact or a wanted label is missing.
        TrainingFailed: Training ended without a result.
    """
    inputs = finetune.FinetuneInputs(
        _address(dataset, store), None if model is None else _address(model, store)
    )
    with progress_artifacts():
        ref = finetune.run(params, inputs, out, store_of(store))
    _metrics_artifact("unimol2-fine-tuning", ref, store)
    return ref


@task(name="join ensemble", tags=["unimol2"], **_CACHED)
def join_ensemble(members: list[ArtifactRef], out: str, store: ArtifactStore | None = None) -> ArtifactRef:
    """Join predictors that differ in seed or fold into one that answers with their mean and spread.

    Raises:
        UserError: They predict other labels, or differ in more than seed and fold.
    """
    ref = ensemble.run([_address(member, store) for member in members], out, store_of(store))
    _metrics_artifact("unimol2-ensemble", ref, store)
    return ref


@task(
    name="search hyper-parameters",
    task_run_name="search on {dataset.digest:.12}",
    tags=["unimol2", "train"],
    **_CACHED,
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
    inputs = search.SearchInputs(
        _address(dataset, store), None if model is None else _address(model, store), refit
    )
    with progress_artifacts():
        ref = search.run(params, inputs, out, store_of(store))
    trials_artifact(ref, store)
    return ref


@task(
    name="train trial",
    task_run_name="trial {trial.number}",
    tags=["unimol2", "train"],
    cache_policy=NO_CACHE,
    persist_result=False,
)
def train_trial(trial: Trial) -> None:
    """Train one trial of a search that is shared out over the flow's task runner."""
    with progress_artifacts():
        trial.train()


def trials_on_task_runner(trials: Sequence[Trial]) -> Iterator[Trial]:
    """Train trials wherever the flow's task runner says; for `work_on` of `stages.search.run`."""
    for trial, future in zip(trials, train_trial.map(trials), strict=True):
        future.result()
        yield trial


def trials_artifact(ref: ArtifactRef, store: ArtifactStore | None) -> None:
    """Show the trials of a search as a table of the run that is going on."""
    rows = trial_rows(_fetch(ref, store).path)
    create_table_artifact(rows, key="unimol2-trials", description=f"{ref.uri}/trials.html")


@task(
    name="evaluate predictor",
    task_run_name="evaluate {predictor.digest:.12}",
    tags=["unimol2", "evaluate"],
    **_CACHED,
)
def evaluate_predictor(
    predictor: ArtifactRef,
    dataset: ArtifactRef,
    out: str,
    params: Params = Params(),
    compare: dict[str, ArtifactRef] | None = None,
    curves: dict[str, ArtifactRef] | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Judge a predictor on a held-out split beside baselines and other predictors.

    Args:
        predictor: What is judged.
        dataset: A labelled dataset.
        out: Where the report goes.
        params: `evaluate` says which split.
        compare: Other predictors by the name they get in the table.
        curves: Models whose learning curves the report shows too.
        store: Where artifacts live; none: folders, and S3 as the environment says.

    Raises:
        UserError: An artifact is missing, or the split has no labels.
    """
    inputs = evaluate.EvaluateInputs(
        _address(predictor, store),
        _address(dataset, store),
        {name: _address(ref, store) for name, ref in (compare or {}).items()},
        {name: _address(ref, store) for name, ref in (curves or {}).items()},
    )
    with progress_artifacts():
        ref = evaluate.run(params, inputs, out, store_of(store))
    report = _fetch(ref, store)
    create_table_artifact(score_rows(report.path), key="unimol2-scores", description=f"{ref.uri}/report.html")
    return ref


@task(name="predict table", task_run_name="predict {table}", tags=["unimol2", "predict"], **_CACHED)
def predict_table(
    predictor: ArtifactRef,
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Predict every row of a table, in its order; rows that fail say why.

    Raises:
        UserError: The predictor, the table or its SMILES column is missing.
    """
    inputs = predict.PredictInputs(_address(predictor, store), table, smiles_column)
    with progress_artifacts():
        return predict.run(params, inputs, out, store_of(store))


@task(name="embed table", task_run_name="embed {table}", tags=["unimol2", "predict"], **_CACHED)
def embed_table(
    model: ArtifactRef,
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    store: ArtifactStore | None = None,
    atoms: bool = False,
) -> ArtifactRef:
    """The representation of every row of a table, in its order, or of every atom.

    Raises:
        UserError: The model, the table or its SMILES column is missing.
    """
    inputs = predict.PredictInputs(_address(model, store), table, smiles_column)
    with progress_artifacts():
        return predict.run_embed(params, inputs, out, store_of(store), atoms=atoms)


@task(name="fit scaling law", tags=["unimol2", "scaling"], **_CACHED)
def fit_scaling_law(
    models: list[ArtifactRef],
    out: str,
    held_out: list[ArtifactRef] | None = None,
    params: Params = Params(),
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Fit the scaling law to the validation curves of pretrained models of several sizes.

    Args:
        models: At least two sizes.
        out: Where the law goes.
        held_out: Models that the law is judged on, and that have no part in the fit.
        params: `study` says which steps count, and how the fit is made; its sizes do not count here.
        store: Where artifacts live; none: folders, and S3 as the environment says.

    Raises:
        UserError: A model is missing, or the curves are too few.
    """
    inputs = scaling.ScalingInputs.of(
        params.study,
        [_address(model, store) for model in models],
        [_address(model, store) for model in held_out or ()],
    )
    return scaling.run(inputs, out, store_of(store))


@task(name="report scaling study", tags=["unimol2", "scaling"], **_CACHED)
def report_scaling_study(law: ArtifactRef, out: str, store: ArtifactStore | None = None) -> ArtifactRef:
    """Write the page, the figures and the tables of a fitted law.

    Raises:
        UserError: The law is missing.
    """
    ref = study_report.run(_address(law, store), out, store_of(store))
    tables = (_fetch(ref, store).path / study_report.TABLES).read_text(encoding="utf-8")
    create_markdown_artifact(tables, key="unimol2-scaling-study", description=f"{ref.uri}/study.html")
    return ref


def _fetch(ref: ArtifactRef, block: ArtifactStore | None) -> LocalArtifact:
    return store_of(block).fetch(ref.uri, digest=ref.digest)


def _address(ref: ArtifactRef, block: ArtifactStore | None) -> str:
    """Where an artifact is, once it is sure that it is still the one that was passed on."""
    return _fetch(ref, block).uri


def _metrics_artifact(key: str, ref: ArtifactRef, block: ArtifactStore | None) -> None:
    create_table_artifact(metric_rows(_fetch(ref, block).path), key=key, description=ref.uri)
