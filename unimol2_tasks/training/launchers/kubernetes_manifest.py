"""What Kubernetes is asked for: an indexed job with one pod per node, and a service by which they meet."""

import math
from collections.abc import Mapping
from typing import Any

from unimol2_tasks.params import KubernetesParams, LaunchParams
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launch import LAUNCH

_PORT = 29500
# Between the ranks' end and that of their container.
_LEAVE_SECONDS = 10
# Whoever looks after a dead supervisor's job has a week.
_KEEP_SECONDS = 7 * 24 * 3600
CONTAINER = "ranks"


def job_manifest(
    run: RunFolder,
    name: str,
    ranks: int,
    params: LaunchParams,
    environment: Mapping[str, str],
    grace: float,
) -> dict[str, Any]:
    """The job, as plain data for the API or `kubectl apply`.

    A pod that ends badly ends the job: restarting is the supervisor's business, which knows the checkpoints.

    Args:
        run: Where the job is described; below `mount_path`, so that the pods see it under the same path.
        name: Of the job and, with a number, of its pods.
        ranks: Over all nodes.
        params: Nodes, and what the pods are made of.
        environment: Variables of the ranks.
        grace: Seconds that the ranks need for an emergency checkpoint.

    Raises:
        ParameterError: The ranks cannot be shared out over the nodes.
    """
    pod = _pod(run, name, ranks, params, environment)
    pod["terminationGracePeriodSeconds"] = math.ceil(grace) + _LEAVE_SECONDS
    limit = (
        {} if params.time_limit is None else {"activeDeadlineSeconds": math.ceil(params.time_limit * 3600)}
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": params.kubernetes.namespace, "labels": _labels(name)},
        "spec": {
            "completions": params.nodes,
            "parallelism": params.nodes,
            "completionMode": "Indexed",
            "backoffLimit": 0,
            "podFailurePolicy": {
                # Else a lost or drained node looks like any failure once its pod is gone.
                "rules": [
                    {
                        "action": "FailJob",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    }
                ]
            },
            "ttlSecondsAfterFinished": _KEEP_SECONDS,
            **limit,
            "template": {"metadata": {"labels": _labels(name)}, "spec": pod},
        },
    }


def service_manifest(name: str, namespace: str, owner: str) -> dict[str, Any]:
    """The service without an address of its own, which gives every pod a name; it goes with its job.

    Args:
        name: As the job's.
        namespace: As the job's.
        owner: The job's uid.
    """
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": owner}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": _labels(name),
            "ownerReferences": [reference],
        },
        "spec": {
            "clusterIP": "None",
            # The first pod has to be found before all are ready.
            "publishNotReadyAddresses": True,
            "selector": _labels(name),
            "ports": [{"name": "rendezvous", "port": _PORT}],
        },
    }


def selector(name: str) -> str:
    """Selects the pods of a job."""
    return ",".join(f"{key}={value}" for key, value in _labels(name).items())


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "unimol2", "app.kubernetes.io/instance": name}


def _pod(
    run: RunFolder, name: str, ranks: int, params: LaunchParams, environment: Mapping[str, str]
) -> dict[str, Any]:
    kubernetes = params.kubernetes
    optional = {
        "serviceAccountName": kubernetes.service_account,
        "nodeSelector": kubernetes.node_selector,
        "tolerations": list(kubernetes.tolerations),
    }
    return {
        "restartPolicy": "Never",
        # With the service's name: gives the pods names that resolve.
        "subdomain": name,
        "automountServiceAccountToken": False,
        "volumes": [
            {"name": "shared", "persistentVolumeClaim": {"claimName": kubernetes.volume_claim}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": kubernetes.shared_memory}},
        ],
        "containers": [_container(run, name, ranks, params, environment)],
        **{key: value for key, value in optional.items() if value},
    }


def _container(
    run: RunFolder, name: str, ranks: int, params: LaunchParams, environment: Mapping[str, str]
) -> dict[str, Any]:
    kubernetes = params.kubernetes
    launch = ["python", "-m", LAUNCH, str(run.path.absolute())]
    launch += ["--ranks", str(params.ranks_per_node(ranks)), "--nodes", str(params.nodes)]
    launch += ["--rendezvous", f"{name}-0.{name}:{_PORT}", "--id", name]
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": kubernetes.image,
        "command": launch,
        # Outside of any repository: dvclive would look for one around it.
        "workingDir": "/",
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": _resources(ranks, params),
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": [
            {"name": "shared", "mountPath": str(kubernetes.mount_path)},
            # Containers have 64 MiB of it, less than NCCL and loader processes pass through it.
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - inside of the pod
        ],
    }
    if kubernetes.secret is not None:
        container["envFrom"] = [{"secretRef": {"name": kubernetes.secret}}]
    return container


def _resources(ranks: int, params: LaunchParams) -> dict[str, Any]:
    """Requests equal limits, so that training is the last to be evicted."""
    kubernetes: KubernetesParams = params.kubernetes
    gpus = params.gpus(ranks)
    asked = {
        "cpu": kubernetes.cpu,
        "memory": kubernetes.memory,
        kubernetes.gpu_resource: str(gpus) if gpus else None,
    }
    amounts = {key: value for key, value in asked.items() if value is not None}
    return {"limits": amounts, "requests": amounts} if amounts else {}
