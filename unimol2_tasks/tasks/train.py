"""The tasks that train."""

from prefect import task

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, place, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import ensemble, finetune, pretrain
from unimol2_tasks.task_cache import remembered
from unimol2_tasks.tasks.artifacts import address, address_of, fetch
from unimol2_tasks.tasks.assets import materialised
from unimol2_tasks.tasks.options import STEP
from unimol2_tasks.tasks.shown import show_training
from unimol2_tasks.tasks.training_slot import training_slot


@task(
    name="pretrain model",
    description="Pretrain a network with DeepSpeed on the molecules of a dataset.",
    task_run_name="pretrain {params.model.preset} on {dataset.digest:.12}",
    tags=["unimol2", "train"],
    **STEP,
)
def pretrain_model(
    dataset: ArtifactRef,
    out: str,
    params: Params = Params(),
    store: ArtifactStore | None = None,
    model: ArtifactRef | None = None,
) -> ArtifactRef:
    """Pretrain a network with DeepSpeed in processes of its own, from fresh weights or those of a model.

    Resumes by itself.

    Raises:
        UserError: The dataset or model is missing, or a parameter impossible on this machine.
        TrainingFailed: Training ended without a result.
    """
    inputs = pretrain.PretrainInputs(address(dataset, store), address_of(model, store))
    with progress_artifacts(), training_slot(params.launch):
        ref = pretrain.run(params, inputs, place(out, store), store_of(store))
    _show("unimol2-pretraining", ref, _parents(dataset, model), store)
    return remembered(ref)


@task(
    name="fine-tune predictor",
    description="Fine-tune a network on the labels of a dataset.",
    task_run_name="fine-tune on {dataset.digest:.12} into {out}",
    tags=["unimol2", "train"],
    **STEP,
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
    inputs = finetune.FinetuneInputs(address(dataset, store), address_of(model, store))
    with progress_artifacts(), training_slot(params.launch):
        ref = finetune.run(params, inputs, place(out, store), store_of(store))
    _show("unimol2-fine-tuning", ref, _parents(dataset, model), store)
    return remembered(ref)


@task(
    name="join ensemble",
    description="Join predictors into one that answers with their mean and spread.",
    task_run_name="join ensemble into {out}",
    tags=["unimol2"],
    **STEP,
)
def join_ensemble(members: list[ArtifactRef], out: str, store: ArtifactStore | None = None) -> ArtifactRef:
    """Join predictors that differ in seed or fold into one that answers with their mean and spread.

    Raises:
        UserError: They predict other labels, or differ in more than seed and fold.
    """
    addresses = [address(member, store) for member in members]
    ref = ensemble.run(addresses, place(out, store), store_of(store))
    _show("unimol2-ensemble", ref, {f"member {i}": member for i, member in enumerate(members)}, store)
    return remembered(ref)


def _parents(dataset: ArtifactRef, model: ArtifactRef | None) -> dict[str, ArtifactRef]:
    return {"dataset": dataset} if model is None else {"dataset": dataset, "model": model}


def _show(key: str, ref: ArtifactRef, parents: dict[str, ArtifactRef], store: ArtifactStore | None) -> None:
    trained = fetch(ref, store)
    show_training(key, trained)
    materialised(ref, trained.manifest, {name: parent.uri for name, parent in parents.items()})
