"""The flow that evaluates a predictor."""

from typing import Annotated

from prefect import flow

from unimol2_flows.inputs import ArtifactPlace, Dataset, Out, Parameters, Predictor, asked
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import reference
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import evaluate_predictor

Others = Annotated[
    dict[str, str] | None,
    asked("Others to compare", "Addresses of other predictors, by the name that they get in the table."),
]


@flow(name="unimol2-evaluate", flow_run_name="evaluate {predictor}", result_serializer="json")
def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    out: Out,
    params: Parameters = Params(),
    compare: Others = None,
    store: ArtifactPlace = None,
) -> ArtifactRef:
    """Judge a predictor on a split of a labelled dataset and write the report.

    Of the parameters `evaluate` counts.
    """
    return evaluate_predictor(
        reference(predictor, "predictor", store),
        reference(dataset, "dataset", store),
        out,
        params,
        {name: reference(other, "predictor", store) for name, other in (compare or {}).items()},
        store=store,
    )
