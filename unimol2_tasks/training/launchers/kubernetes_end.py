"""Why a Kubernetes job ended, from what it and its pods say of themselves."""

from collections.abc import Iterable
from typing import Any

from unimol2_tasks.training.launch import NO_RUN_FOLDER
from unimol2_tasks.training.launchers.launcher import Ending

_PULLING_IS_IN_VAIN = frozenset({"ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"})
_DISRUPTIONS = {
    "PreemptionByScheduler": "preempted",
    "EvictionByEvictionAPI": "preempted",
    "TerminationByKubelet": "preempted",
    "DeletionByTaintManager": "node failure",
    "DeletionByPodGC": "node failure",
}
"""Reasons of a pod's condition DisruptionTarget."""
_POD_REASONS = {
    "Evicted": "preempted",
    "Preempting": "preempted",
    "NodeLost": "node failure",
    "NodeShutdown": "node failure",
    "Terminated": "node failure",
    "UnexpectedAdmissionError": "node failure",
}


def ending_of(job: Any, pods: Iterable[Any]) -> Ending:
    """The job's end.

    Args:
        job: A `V1Job` with a condition Complete or Failed.
        pods: Its `V1Pod`s, as many as are left.
    """
    condition = finished(job)
    if condition is None or condition.type == "Complete":
        return Ending(None, f"Kubernetes job {job.metadata.name} completed")
    told = [f"Kubernetes job {job.metadata.name} failed ({condition.reason}: {condition.message})"]
    reasons = ["time limit"] if condition.reason == "DeadlineExceeded" else []
    for pod in pods:
        reason, account = _of_pod(pod)
        reasons += [reason] if reason else []
        told += [account] if account else []
    if not reasons and "DisruptionTarget" in (condition.message or ""):
        reasons = ["preempted"]
    return Ending(reasons[0] if reasons else None, "; ".join(told))


def alive(pod: Any) -> bool:
    """Whether a pod may still write into the run folder, or come to do so."""
    return pod.status.phase in ("Pending", "Running")


def begun(job: Any, nodes: int) -> bool:
    """Whether all pods of a job run, or one of them has even ended."""
    status = job.status
    return (status.ready or 0) >= nodes or bool(status.succeeded or status.failed)


def finished(job: Any) -> Any:
    """The condition under which a job has ended, all its pods with it; None: it has not.

    Before Kubernetes 1.31 a job counts as failed while its other pods are still being ended.
    """
    if job.status.active or job.status.terminating:
        return None
    conditions = job.status.conditions or []
    return next(
        (one for one in conditions if one.type in ("Complete", "Failed") and one.status == "True"), None
    )


def why_it_cannot_start(pods: Iterable[Any]) -> str | None:
    """What a person has to change before a pod can start, if there is such a thing."""
    for pod in pods:
        for status in pod.status.container_statuses or []:
            waiting = status.state.waiting if status.state else None
            if waiting is not None and waiting.reason in _PULLING_IS_IN_VAIN:
                return f"pod {pod.metadata.name} cannot start: {waiting.reason}: {waiting.message}"
    return None


def _of_pod(pod: Any) -> tuple[str | None, str]:
    name = pod.metadata.name
    for condition in pod.status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return _DISRUPTIONS.get(condition.reason, "preempted"), f"pod {name}: {condition.message}"
    if pod.status.reason:
        return _POD_REASONS.get(pod.status.reason), f"pod {name}: {pod.status.reason}: {pod.status.message}"
    for status in pod.status.container_statuses or []:
        ended = status.state.terminated if status.state else None
        if ended is not None and ended.reason == "OOMKilled":
            return "out of memory", f"pod {name} was out of memory"
        if ended is not None and ended.exit_code == NO_RUN_FOLDER:
            return "user error", f"pod {name} does not see the run folder; is it on the claim?"
        if ended is not None and ended.exit_code:
            return None, f"pod {name} ended with exit code {ended.exit_code}"
    return None, ""
