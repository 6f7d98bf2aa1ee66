"""Pretraining: a dataset becomes a model."""

from dataclasses import dataclass

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.params import Params
from unimol2_tasks.stages.training_job import train_artifact
from unimol2_tasks.training.continuation import determining
from unimol2_tasks.training.job import Job


@dataclass(frozen=True, slots=True)
class PretrainInputs:
    """What pretraining learns from."""

    dataset: str
    """A dataset's folder or `s3://` address."""
    model: str | None = None
    """A pretrained model whose weights it starts from; None: fresh weights."""


def run(params: Params, inputs: PretrainInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Pretrain a network; an interrupted run goes on from its newest valid checkpoint.

    Raises:
        UserError: The dataset or model is missing or damaged, or a parameter is impossible here.
        TrainingFailed: Training ended without a result.
    """
    dataset = store.fetch(inputs.dataset, "dataset")
    model = None if inputs.model is None else store.fetch(inputs.model, "model")
    parents = {"dataset": dataset.manifest.digest}
    if model is not None:
        parents["model"] = model.manifest.digest
    recipe = Recipe(
        "model",
        {"model": params.model.model_dump(mode="json"), "pretrain": determining(params.pretrain)},
        parents,
    )
    job = Job(
        kind="pretrain",
        dataset=dataset.path.absolute(),
        model=None if model is None else model.path.absolute(),
        params=params,
    )
    return train_artifact(job, params.pretrain, recipe, out, store)
