"""The Prefect tasks: thin doors to the stages, for flows of ours and of others.

Each takes and returns small JSON (`ArtifactRef`: kind, address, digest), never a tensor or a table; each
is cached by the digests of its inputs, its parameters and the version of the code.
"""

from unimol2_tasks.tasks.evaluate import evaluate_predictor
from unimol2_tasks.tasks.predict import embed_table, predict_table, record_predictions
from unimol2_tasks.tasks.prepare import on_task_runner, prepare_dataset, prepare_unit
from unimol2_tasks.tasks.reproduce import push_to_remote, reproduce_stage
from unimol2_tasks.tasks.scaling import fit_scaling_law, report_scaling_study
from unimol2_tasks.tasks.search import search_hyperparameters, show_trials, train_trial, trials_on_task_runner
from unimol2_tasks.tasks.train import finetune_predictor, join_ensemble, pretrain_model

__all__ = [
    "embed_table",
    "evaluate_predictor",
    "finetune_predictor",
    "fit_scaling_law",
    "join_ensemble",
    "on_task_runner",
    "predict_table",
    "prepare_dataset",
    "prepare_unit",
    "pretrain_model",
    "push_to_remote",
    "record_predictions",
    "report_scaling_study",
    "reproduce_stage",
    "search_hyperparameters",
    "show_trials",
    "train_trial",
    "trials_on_task_runner",
]
