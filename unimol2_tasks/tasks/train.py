"""The tasks that train."""

from prefect import task

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import ensemble, finetune, pretrain
from unimol2_tasks.tasks.artifacts import CACHED, address, show_metrics


@task(
    name="pretrain model",
    task_run_name="pretrain on {dataset.digest:.12}",
    tags=["unimol2", "train"],
    **CACHED,
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
        ref = pretrain.run(params, pretrain.PretrainInputs(address(dataset, store)), out, store_of(store))
    show_metrics("unimol2-pretraining", ref, store)
    return ref


@task(
    name="fine-tune predictor",
    task_run_name="fine-tune on {dataset.digest:.12}",
    tags=["unimol2", "train"],
    **CACHED,
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
        address(dataset, store), None if model is None else address(model, store)
    )
    with progress_artifacts():
        ref = finetune.run(params, inputs, out, store_of(store))
    show_metrics("unimol2-fine-tuning", ref, store)
    return ref


@task(name="join ensemble", tags=["unimol2"], **CACHED)
def join_ensemble(members: list[ArtifactRef], out: str, store: ArtifactStore | None = None) -> ArtifactRef:
    """Join predictors that differ in seed or fold into one that answers with their mean and spread.

    Raises:
        UserError: They predict other labels, or differ in more than seed and fold.
    """
    ref = ensemble.run([address(member, store) for member in members], out, store_of(store))
    show_metrics("unimol2-ensemble", ref, store)
    return ref
