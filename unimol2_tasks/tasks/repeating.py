"""Which failures of a task may pass by themselves."""

import errno
from concurrent.futures import BrokenExecutor
from typing import Any

import httpx
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from unimol2_tasks.errors import TrainingFailed, UserError

_PASSING_REASONS = frozenset({"communication", "preempted", "node failure"})
"""Of `TrainingFailed`; a crash or a hang was tried again by the supervisor already."""
_LASTING = frozenset(
    {
        errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ENAMETOOLONG,
        errno.ENOENT, errno.ENOSPC, errno.ENOTDIR, errno.ENOTEMPTY, errno.EPERM, errno.EROFS,
    }
)  # fmt: skip
"""Errors of the operating system that somebody has to mend."""
_PASSING_STATUS = frozenset({429, 500, 502, 503, 504})


class LostWorker(RuntimeError):  # noqa: N818 - it names what happened, as Prefect's own exceptions do
    """A worker of ours ended without having done its share."""


def worth_repeating(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed attempt may succeed without anybody changing anything; for `retry_condition_fn`.

    So are broken connections, servers that are busy or restarting, and workers that were lost; a refusal, bad
    input or a training that diverged is never.
    """
    return isinstance(state.data, BaseException) and passes_by_itself(state.data)


def passes_by_itself(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, is one of transport, the system or a lost worker."""
    if isinstance(error, TrainingFailed):
        return error.reason in _PASSING_REASONS
    if isinstance(error, UserError):
        # One about S3 carries what S3 said; any other is final.
        return error.__cause__ is not None and _of_transport(error.__cause__)
    return isinstance(error, LostWorker | BrokenExecutor) or _of_transport(error)


def _of_transport(error: BaseException) -> bool:
    from botocore.exceptions import ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as EndpointError

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _PASSING_STATUS
    if isinstance(error, ClientError):
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _PASSING_STATUS
    if isinstance(error, OSError):
        # One without a number is what s3fs makes of an answer that it has no better name for.
        return error.errno not in _LASTING and not isinstance(error, FileNotFoundError | PermissionError)
    return isinstance(error, httpx.TransportError | HTTPClientError | EndpointError)
