import errno
from concurrent.futures.process import BrokenProcessPool
from typing import Any, cast

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from prefect.states import Failed

from unimol2_tasks.artifacts.s3 import s3_errors
from unimol2_tasks.errors import ArtifactError, ParameterError, TableError, TrainingDiverged, TrainingFailed
from unimol2_tasks.tasks import (
    embed_table,
    evaluate_predictor,
    finetune_predictor,
    fit_scaling_law,
    join_ensemble,
    predict_table,
    prepare_dataset,
    pretrain_model,
    report_scaling_study,
    search_hyperparameters,
)
from unimol2_tasks.tasks.repeating import LostWorker, worth_repeating

STEPS = (
    embed_table, evaluate_predictor, finetune_predictor, fit_scaling_law, join_ensemble, predict_table,
    prepare_dataset, pretrain_model, report_scaling_study, search_hyperparameters,
)  # fmt: skip


def repeated(error: BaseException) -> bool:
    nobody = cast(Any, None)
    return worth_repeating(nobody, nobody, Failed(data=error))


def answer(status: int) -> ClientError:
    return ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


def of_s3(error: Exception) -> Exception:
    """What a stage raises where S3 says this."""
    with pytest.raises(ArtifactError) as caught, s3_errors("s3://bucket/table.csv"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        OSError(errno.EIO, "the file system is away"),
        TimeoutError(),
        answer(503),
        answer(500),
        of_s3(EndpointConnectionError(endpoint_url="http://127.0.0.1:1")),
        of_s3(answer(503)),
        of_s3(OSError("[Errno 5] Please reduce your request rate")),
        BrokenProcessPool("a worker was killed"),
        LostWorker("rows 1 to 8 crashed"),
        TrainingFailed("the node is gone", "node failure"),
        TrainingFailed("somebody more important came", "preempted"),
    ],
    ids=repr,
)
def test_what_may_pass_by_itself_is_repeated(error: Exception) -> None:
    assert repeated(error)


@pytest.mark.parametrize(
    "error",
    [
        TableError("row 3: no SMILES"),
        ParameterError("steps=0"),
        TrainingDiverged("loss is not finite after step 7"),
        ArtifactError("runs/dataset: no dataset there"),
        of_s3(FileNotFoundError("bucket")),
        of_s3(PermissionError("denied")),
        of_s3(answer(403)),
        FileNotFoundError(errno.ENOENT, "none.csv"),
        PermissionError(errno.EACCES, "secret.csv"),
        OSError(errno.ENOSPC, "the disk is full"),
        TrainingFailed("CUDA out of memory", "out of memory"),
        TrainingFailed("it crashed twice", "crash"),
        TrainingFailed("stopped", "stopped"),
        ZeroDivisionError("a bug"),
    ],
    ids=repr,
)
def test_what_somebody_has_to_mend_is_not(error: Exception) -> None:
    assert not repeated(error)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_every_step_waits_longer_each_time_and_says_what_it_is(step: Any) -> None:
    assert step.retries == 3
    assert step.retry_delay_seconds == [10.0, 20.0, 40.0]
    assert step.retry_jitter_factor > 0
    assert step.retry_condition_fn is worth_repeating
    assert "unimol2" in step.tags
    assert step.description.endswith(".")
    assert step.task_run_name
