"""The tasks of the scaling study."""

from prefect import task
from prefect.artifacts import create_markdown_artifact

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, place, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.stages import scaling
from unimol2_tasks.stages.scaling_results import report as study_report
from unimol2_tasks.task_cache import remembered
from unimol2_tasks.tasks.artifacts import address, fetch
from unimol2_tasks.tasks.assets import materialised
from unimol2_tasks.tasks.options import STEP
from unimol2_tasks.tasks.shown import show_page


@task(
    name="fit scaling law",
    description="Fit the scaling law to the validation curves of models of several sizes.",
    task_run_name="fit scaling law into {out}",
    tags=["unimol2", "scaling"],
    **STEP,
)
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
        [address(model, store) for model in models],
        [address(model, store) for model in held_out or ()],
    )
    ref = scaling.run(inputs, place(out, store), store_of(store))
    parents = {f"model {i}": model.uri for i, model in enumerate([*models, *(held_out or ())])}
    materialised(ref, fetch(ref, store).manifest, parents)
    return remembered(ref)


@task(
    name="report scaling study",
    description="Write the page, the figures and the tables of a fitted law.",
    task_run_name="report {law.digest:.12} into {out}",
    tags=["unimol2", "scaling"],
    **STEP,
)
def report_scaling_study(law: ArtifactRef, out: str, store: ArtifactStore | None = None) -> ArtifactRef:
    """Write the page, the figures and the tables of a fitted law.

    Raises:
        UserError: The law is missing.
    """
    ref = study_report.run(address(law, store), place(out, store), store_of(store))
    report = fetch(ref, store)
    tables = (report.path / study_report.TABLES).read_text(encoding="utf-8")
    create_markdown_artifact(tables, key="unimol2-scaling-study", description=f"{ref.uri}/study.html")
    show_page("unimol2-scaling-report", report, "study.html", "Report of the scaling study")
    materialised(ref, report.manifest, {"law": law.uri})
    return remembered(ref)
