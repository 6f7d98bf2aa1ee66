"""Which training parameters an interrupted run may be continued with other values of.

Everything that is not named here sets what is computed, and another value of it is another run. So does all
of `deepspeed`, which may hold anything.
"""

from typing import Any

from unimol2_tasks.params import TrainingParams

SETTINGS = "settings.json"
"""File of a run's folder: `{"settings": [...]}`, what `settings_used` gave; for the manifest's `run`."""

WITHOUT_EFFECT = frozenset(
    {
        # How often and how many restart points are kept.
        "checkpoint_every",
        "keep_checkpoints",
        # Who makes the batches, which are functions of (seed, epoch, step).
        "loader_workers",
        # What is shown beside the curve.
        "peak_tflops",
        "tensorboard",
        # When to give up; a run that reached its end never did.
        "max_skipped_steps",
    }
)
"""Change neither the weights nor the curve by a bit: no part of an artifact's recipe."""

MOVES_WORK = frozenset(
    {
        # Sums over ranks and micro-batches round differently, and dropout is drawn per rank and micro-batch.
        "ranks",
        "micro_batch_size",
        # The same sums, shared out differently.
        "zero_stage",
        "threads",
        # The same formulas by other kernels, or in another place.
        "offload_optimizer",
        "checkpoint_activations",
        "compile",
        # Which steps the curve shows; never a weight.
        "log_every",
    }
)
"""The same batches, objective and schedule, worked on elsewhere: bits may change, what is learnt does not.

They are a part of the recipe, which names their last values, and no part of the run's key. What they were
before stands in `settings` of the manifest's `run`.
"""


def determining(training: TrainingParams) -> dict[str, Any]:
    """The training parameters that determine the result to the bit, as plain values."""
    return training.model_dump(mode="json", exclude=set(WITHOUT_EFFECT))


def identifying(training: TrainingParams) -> dict[str, Any]:
    """The training parameters by which an interrupted run is found again, as plain values."""
    return training.model_dump(mode="json", exclude=set(WITHOUT_EFFECT | MOVES_WORK))


def settings_used(before: list[dict[str, Any]], step: int, training: TrainingParams) -> list[dict[str, Any]]:
    """The history of the settings in `MOVES_WORK`, up to a start that goes on with the present ones.

    Args:
        before: The history that the checkpoint holds; empty for a new run.
        step: Optimiser steps that the checkpoint holds.
        training: The present parameters.

    Returns:
        One entry per change: `from_step`, after which it was used, and the values.
    """
    values = training.model_dump(mode="json", include=set(MOVES_WORK))
    kept = [entry for entry in before if entry["from_step"] < step]
    if kept and {name: kept[-1].get(name) for name in values} == values:
        return kept
    return [*kept, {"from_step": step, **values}]
