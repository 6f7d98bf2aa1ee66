"""The flow from two tables to a judged predictor and predictions."""

from prefect import flow
from pydantic import BaseModel

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, LaunchProfile
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import (
    evaluate_predictor,
    finetune_predictor,
    predict_table,
    prepare_dataset,
    pretrain_model,
)


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
    molecules: str,
    labelled: str,
    out: str,
    library: str | None = None,
    params: Params = Params(),
    label_columns: list[str] | None = None,
    compare_with_scratch: bool = True,
    launch: LaunchProfile | None = None,
    store: ArtifactStore | None = None,
) -> EndToEndResult:
    """Prepare, pretrain, fine-tune, evaluate and predict.

    Started again with the same inputs it serves finished steps from the cache and resumes an
    interrupted training from its newest checkpoint.

    Args:
        molecules: Table of molecules for pretraining, local or `s3://`.
        labelled: Table of molecules with measured or computed labels.
        out: A folder or `s3://` prefix; every artifact goes below it.
        library: Table to predict at the end; none: no prediction.
        params: All parameters.
        label_columns: Columns to learn; none: all numeric ones.
        compare_with_scratch: Also fine-tune without pretraining, to show what pretraining adds.
        launch: How training is launched; none: as `params` says.
        store: How S3 is reached; none: as the environment says.
    """
    params = params if launch is None else launch.apply(params)
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
