"""What pretraining and fine-tuning share: run a job to its end, publish, clean up."""

import shutil
import time

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.params import TrainingParams
from unimol2_tasks.training.job import Job, RunFolder
from unimol2_tasks.training.supervisor import supervise

# Do not change the result, so that an interrupted run may be continued with other values.
_WITHOUT_EFFECT = {"checkpoint_every", "keep_checkpoints", "loader_workers"}


def train_artifact(job: Job, training: TrainingParams, recipe: Recipe, out: str, store: Store) -> ArtifactRef:
    """The artifact of a training job: the one that is there, a continued run's, or a new run's.

    Raises:
        UserError: The job refused its inputs or parameters.
        TrainingFailed: It ended without a result; started again, it goes on from its last checkpoint.
    """
    run = RunFolder(store.work_folder(out, recipe))
    ref = store.find(recipe, out)
    if ref is None:
        started = time.monotonic()
        supervise(job, run, training.ranks, training.threads)
        with store.draft(out) as draft:
            shutil.copytree(run.result, draft, dirs_exist_ok=True)
            ref = store.publish(draft, out, recipe, run={"seconds": round(time.monotonic() - started, 1)})
    shutil.rmtree(run.path, ignore_errors=True)
    return ref


def determining(training: TrainingParams) -> dict[str, object]:
    """The training parameters that determine the result, as plain values."""
    values: dict[str, object] = training.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    return values
