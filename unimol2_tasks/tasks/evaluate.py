"""The task that judges a predictor."""

from prefect import task
from prefect.artifacts import create_table_artifact

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, place, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import evaluate
from unimol2_tasks.summaries import score_rows
from unimol2_tasks.task_cache import remembered
from unimol2_tasks.tasks.artifacts import address, fetch
from unimol2_tasks.tasks.assets import materialised
from unimol2_tasks.tasks.options import STEP
from unimol2_tasks.tasks.shown import show_page


@task(
    name="evaluate predictor",
    description="Judge a predictor on a held-out split beside baselines and other predictors.",
    task_run_name="evaluate {predictor.digest:.12} on {dataset.digest:.12}",
    tags=["unimol2", "evaluate"],
    **STEP,
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
        address(predictor, store),
        address(dataset, store),
        {name: address(ref, store) for name, ref in (compare or {}).items()},
        {name: address(ref, store) for name, ref in (curves or {}).items()},
    )
    with progress_artifacts():
        ref = evaluate.run(params, inputs, place(out, store), store_of(store))
    report = fetch(ref, store)
    create_table_artifact(score_rows(report.path), key="unimol2-scores", description=f"{ref.uri}/report.html")
    show_page("unimol2-report", report, "report.html", "Report of the evaluation")
    materialised(ref, report.manifest, {"predictor": predictor.uri, "dataset": dataset.uri})
    return remembered(ref)
