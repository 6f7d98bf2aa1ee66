"""The flow that evaluates a predictor."""

from prefect import flow

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, reference
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import evaluate_predictor


@flow(name="unimol2-evaluate", flow_run_name="evaluate {predictor}", result_serializer="json")
def evaluate(
    predictor: str,
    dataset: str,
    out: str,
    params: Params = Params(),
    compare: dict[str, str] | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Judge a predictor on a split of a labelled dataset and write the report.

    Args:
        predictor: A predictor's folder or `s3://` address.
        dataset: A labelled dataset's folder or `s3://` address.
        out: A new folder or an `s3://` prefix for the report.
        params: Parameters; `evaluate` counts here.
        compare: Other predictors by the name they get in the table.
        store: How S3 is reached; none: as the environment says.
    """
    return evaluate_predictor(
        reference(predictor, "predictor", store),
        reference(dataset, "dataset", store),
        out,
        params,
        {name: reference(other, "predictor", store) for name, other in (compare or {}).items()},
        store=store,
    )
