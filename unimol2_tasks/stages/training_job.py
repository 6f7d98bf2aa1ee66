"""What pretraining and fine-tuning share: run a job to its end, publish, clean up."""

import shutil
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.s3 import is_s3
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.datasets.arrow_cache import arrow_folder
from unimol2_tasks.params import TrainingParams
from unimol2_tasks.training.continuation import SETTINGS, determining, identifying
from unimol2_tasks.training.deepspeed_config import refuse_contradictions
from unimol2_tasks.training.job import Job, RunFolder, read_json
from unimol2_tasks.training.mirror import CheckpointMirror
from unimol2_tasks.training.supervisor import supervise


def train_artifact(job: Job, training: TrainingParams, recipe: Recipe, out: str, store: Store) -> ArtifactRef:
    """The artifact of a training job: the one that is there, a continued run's, or a new run's.

    An unfinished run is found again by what sets its result and by the name of `out`; it may go on with other
    values of the rest (`training.continuation`). Where `out` is on S3 its checkpoints are kept there too, so
    that another machine can go on.

    Raises:
        UserError: The job refused its inputs or parameters.
        TrainingFailed: It ended without a result; started again, it goes on from its last checkpoint.
    """
    refuse_contradictions(training)
    run = _run_folder(job, training, recipe, out, store)
    mirror = CheckpointMirror.below(out, run, store.s3) if is_s3(out) else None
    ref = store.find(recipe, out)
    if ref is None:
        started = time.monotonic()
        if mirror is not None:
            mirror.bring_back()
        # Not by the ranks: of many molecules it takes hours, and they are watched for steps.
        arrow_folder(job.dataset)
        with mirror.following() if mirror is not None else nullcontext():
            supervise(job, run, training.ranks, training.threads)
        ref = _publish(run, recipe, out, store, time.monotonic() - started)
    if mirror is not None:
        mirror.remove()
    shutil.rmtree(run.path, ignore_errors=True)
    return ref


def _run_folder(job: Job, training: TrainingParams, recipe: Recipe, out: str, store: Store) -> RunFolder:
    key = _with_section(recipe, job, identifying(training))
    # Else runs that are to be compared, of 1 rank and of 2, would be one run.
    place = out.rstrip("/") if is_s3(out) else Path(out).name
    return RunFolder(store.work_folder(out, replace(key, params=key.params | {"out": place})))


def _publish(run: RunFolder, recipe: Recipe, out: str, store: Store, seconds: float) -> ArtifactRef:
    # A result that an earlier start had left was made with the values of that start.
    made = Job.model_validate_json(run.job.read_text(encoding="utf-8"))
    facts = {
        "seconds": round(seconds, 1),
        **(read_json(run.speed) or {}),
        **(read_json(run.path / SETTINGS) or {}),
    }
    with store.draft(out) as draft:
        shutil.copytree(run.result, draft, dirs_exist_ok=True)
        return store.publish(draft, out, _with_section(recipe, made, determining(made.training)), run=facts)


def _with_section(recipe: Recipe, job: Job, values: dict[str, Any]) -> Recipe:
    """The recipe with other values of the parameters that training has."""
    return replace(recipe, params=recipe.params | {job.kind: values})
