"""The flow from two tables to a judged predictor and predictions."""

from typing import Annotated

from prefect import flow
from pydantic import BaseModel

from unimol2_flows.inputs import (
    ArtifactPlace,
    KeyedOut,
    LabelColumns,
    LabelledTable,
    Launch,
    LibraryOrNone,
    Parameters,
    Table,
    asked,
)
from unimol2_flows.schedule import keyed, overtaken
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import (
    evaluate_predictor,
    finetune_predictor,
    predict_table,
    prepare_dataset,
    pretrain_model,
)

Scratch = Annotated[
    bool,
    asked("Compare with scratch", "Also fine-tune without pretraining, to show what pretraining adds."),
]


class EndToEndResult(BaseModel):
    """What the flow made."""

    molecules: ArtifactRef
    labelled: ArtifactRef
    model: ArtifactRef
    predictor: ArtifactRef
    scratch: ArtifactRef | None
    report: ArtifactRef
    predictions: ArtifactRef | None


@flow(name="unimol2-end-to-end", flow_run_name="end to end into {out}", result_serializer="json")
def end_to_end(
    molecules: Table,
    labelled: LabelledTable,
    out: KeyedOut,
    library: LibraryOrNone = None,
    params: Parameters = Params(),
    label_columns: LabelColumns = None,
    compare_with_scratch: Scratch = True,
    launch: Launch = None,
    store: ArtifactPlace = None,
) -> EndToEndResult:
    """Prepare, pretrain, fine-tune, evaluate and predict.

    Started again with the same inputs it serves finished steps from the cache and resumes an interrupted
    training from its newest checkpoint. Every artifact goes below `out`; without a library nothing is
    predicted. A scheduled run whose work a later one has done ends as skipped.
    """
    if (skipped := overtaken()) is not None:
        return skipped  # type: ignore[no-any-return]
    params = params if launch is None else launch.apply(params)
    out = keyed(
        out,
        params,
        store,
        molecules,
        labelled,
        library,
        label_columns=label_columns,
        compare_with_scratch=compare_with_scratch,
    )
    unlabelled = prepare_dataset(molecules, f"{out}/molecules", params, label_columns=[], store=store)
    dataset = prepare_dataset(labelled, f"{out}/labelled", params, label_columns=label_columns, store=store)
    model = pretrain_model(unlabelled, f"{out}/model", params, store)
    predictor = finetune_predictor(dataset, model, f"{out}/predictor", params, store)
    scratch = (
        finetune_predictor(dataset, None, f"{out}/scratch", params, store) if compare_with_scratch else None
    )
    report = evaluate_predictor(
        predictor,
        dataset,
        f"{out}/report",
        params,
        compare={} if scratch is None else {"Uni-Mol2 without pretraining": scratch},
        curves={"pretraining": model},
        store=store,
    )
    predictions = (
        None
        if library is None
        else predict_table(predictor, library, f"{out}/predictions.csv", params, store=store)
    )
    return EndToEndResult(
        molecules=unlabelled,
        labelled=dataset,
        model=model,
        predictor=predictor,
        scratch=scratch,
        report=report,
        predictions=predictions,
    )
