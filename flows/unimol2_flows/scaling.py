"""The flow of the scaling study."""

from typing import Annotated

from prefect import flow
from pydantic import BaseModel

from unimol2_flows.inputs import ArtifactPlace, Launch, Out, Parameters, TableOrNone, asked
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import reference
from unimol2_tasks.stages.study import ladder, model_place
from unimol2_tasks.tasks import fit_scaling_law, prepare_dataset, pretrain_model, report_scaling_study

Prepared = Annotated[
    str | None,
    asked("Dataset", "In place of a table: address of a dataset that is prepared already.", min_length=1),
]


class StudyResult(BaseModel):
    """What the flow made."""

    dataset: ArtifactRef
    models: dict[str, ArtifactRef]
    """By size, such as 0.508M, smallest first."""
    law: ArtifactRef
    report: ArtifactRef


@flow(name="unimol2-scaling", flow_run_name="scaling study into {out}", result_serializer="json")
def scaling(
    out: Out,
    params: Parameters,
    table: TableOrNone = None,
    dataset: Prepared = None,
    launch: Launch = None,
    store: ArtifactPlace = None,
) -> StudyResult:
    """Pretrain a ladder of sizes on the same molecules, and predict the largest from the smaller ones.

    Started again with the same inputs it serves finished models from the cache and resumes an interrupted
    training from its newest checkpoint. One network is trained at a time: they would share the machine.
    Dataset, models, law and report go below `out`. Of the parameters `prepare`, `model`, `pretrain` and
    `study` count. The molecules are a table or a dataset, not both.

    Raises:
        ValueError: Both table and dataset are given, or neither.
    """
    if (table is None) == (dataset is None):
        raise ValueError("give either table or dataset")
    params = params if launch is None else launch.apply(params, "pretrain")
    rungs = ladder(params)
    if dataset is not None:
        molecules = reference(dataset, "dataset", store)
    else:
        molecules = prepare_dataset(str(table), f"{out}/dataset", params, label_columns=[], store=store)
    models = {
        rung.name: pretrain_model(molecules, model_place(out, rung), rung.params, store) for rung in rungs
    }
    law = fit_scaling_law(
        [models[rung.name] for rung in rungs if not rung.held_out],
        f"{out}/law",
        [models[rung.name] for rung in rungs if rung.held_out],
        params,
        store,
    )
    report = report_scaling_study(law, f"{out}/report", store)
    return StudyResult(dataset=molecules, models=models, law=law, report=report)
