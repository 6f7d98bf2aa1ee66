"""Fine-tuning: a labelled dataset and a model become a predictor."""

from dataclasses import dataclass

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.params import Params
from unimol2_tasks.stages.training_job import train_artifact
from unimol2_tasks.training.continuation import determining
from unimol2_tasks.training.job import Job


@dataclass(frozen=True, slots=True)
class FinetuneInputs:
    """What fine-tuning learns from."""

    dataset: str
    """A labelled dataset's folder or `s3://` address."""
    model: str | None
    """A pretrained model's; none: the network of `params.model` from scratch."""


def run(params: Params, inputs: FinetuneInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Fine-tune a network and keep the weights with the lowest validation loss.

    Raises:
        UserError: Dataset or model is missing or damaged, or a wanted label is not there.
        TrainingFailed: Training ended without a result.
    """
    dataset = store.fetch(inputs.dataset, "dataset")
    model = None if inputs.model is None else store.fetch(inputs.model, "model")
    parents = {"dataset": dataset.manifest.digest}
    if model is not None:
        parents["model"] = model.manifest.digest
    recipe = Recipe(
        "predictor",
        {"model": params.model.model_dump(mode="json"), "finetune": determining(params.finetune)},
        parents,
    )
    job = Job(
        kind="finetune",
        dataset=dataset.path.absolute(),
        model=None if model is None else model.path.absolute(),
        params=params,
    )
    return train_artifact(job, params.finetune, recipe, out, store)
