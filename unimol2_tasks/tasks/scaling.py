"""The tasks of the scaling study."""

from prefect import task
from prefect.artifacts import create_markdown_artifact

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.stages import scaling
from unimol2_tasks.stages.scaling_results import report as study_report
from unimol2_tasks.tasks.artifacts import CACHED, address, fetch


@task(name="fit scaling law", tags=["unimol2", "scaling"], **CACHED)
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
    return scaling.run(inputs, out, store_of(store))


@task(name="report scaling study", tags=["unimol2", "scaling"], **CACHED)
def report_scaling_study(law: ArtifactRef, out: str, store: ArtifactStore | None = None) -> ArtifactRef:
    """Write the page, the figures and the tables of a fitted law.

    Raises:
        UserError: The law is missing.
    """
    ref = study_report.run(address(law, store), out, store_of(store))
    tables = (fetch(ref, store).path / study_report.TABLES).read_text(encoding="utf-8")
    create_markdown_artifact(tables, key="unimol2-scaling-study", description=f"{ref.uri}/study.html")
    return ref
