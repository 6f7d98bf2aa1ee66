"""The Prefect tasks: thin doors to the stages, for flows of ours and of others.

Those that make an artifact take and return small JSON (`ArtifactRef`: kind, address, digest), never a tensor
or a table, and are cached by the digests of their inputs, their parameters and the version of the code.
"""

from unimol2_tasks.tasks.evaluate import evaluate_predictor
from unimol2_tasks.tasks.predict import embed_table, predict_table, record_predictions
from unimol2_tasks.tasks.prepare import on_task_runner, prepare_dataset, prepare_unit, record_dataset
from unimol2_tasks.tasks.reproduce import push_to_remote, reproduce_stage
from unimol2_tasks.tasks.results import results_of
from unimol2_tasks.tasks.scaling import fit_scaling_law, report_scaling_study
from unimol2_tasks.tasks.search import (
    record_search,
    search_hyperparameters,
    train_trial,
    trials_on_task_runner,
)
from unimol2_tasks.tasks.train import finetune_predictor, join_ensemble, pretrain_model
from unimol2_tasks.training.interruption import interruptible_threads

__all__ = [
    "embed_table",
    "evaluate_predictor",
    "finetune_predictor",
    "fit_scaling_law",
    "interruptible_threads",
    "join_ensemble",
    "on_task_runner",
    "predict_table",
    "prepare_dataset",
    "prepare_unit",
    "pretrain_model",
    "push_to_remote",
    "record_dataset",
    "record_predictions",
    "record_search",
    "report_scaling_study",
    "reproduce_stage",
    "results_of",
    "search_hyperparameters",
    "train_trial",
    "trials_on_task_runner",
]
