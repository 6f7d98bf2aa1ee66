"""The few questions and orders that a launch has for a Kubernetes namespace."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from unimol2_tasks.errors import UserError
from unimol2_tasks.training.launchers.kubernetes_manifest import selector
from unimol2_tasks.training.launchers.poll import NoAnswer

_log = logging.getLogger(__name__)
_REQUEST_SECONDS = 30.0
_LOG_LINES = 5000
_NOT_FOUND, _EXISTS, _TOO_MANY = 404, 409, 429


class Refused(UserError):  # noqa: N818 - it says what the server did
    """The API server understood an order and does not follow it."""


def connect(namespace: str) -> "Cluster":
    """The cluster of `~/.kube/config`, or the one in which this process runs.

    Raises:
        UserError: The client is not installed, or nothing says where the cluster is.
    """
    try:
        from kubernetes import client, config
    except ImportError:
        raise UserError(
            "launcher kubernetes needs the official client: pip install 'unimol2-tasks[kubernetes]'"
        ) from None
    try:
        config.load_config()
    except config.ConfigException as error:
        raise UserError(f"no Kubernetes cluster is configured here: {error}") from None
    return Cluster(client.BatchV1Api(), client.CoreV1Api(), namespace)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of a cluster.

    Attributes:
        batch: The client's `BatchV1Api`.
        core: Its `CoreV1Api`.
        namespace: Where jobs, pods and services are.
    """

    batch: Any
    core: Any
    namespace: str

    def create_job(self, manifest: dict[str, Any]) -> Any:
        """The created job.

        Raises:
            Refused: By the server, with its reason.
            UserError: The server did not answer; the job may be there all the same.
        """
        try:
            return self._call(self.batch.create_namespaced_job, self.namespace, manifest)
        except NoAnswer as problem:
            raise UserError(f"{problem}; start again to see whether the job is there") from None

    def create_service(self, manifest: dict[str, Any]) -> None:
        """Create a service, unless it is there.

        Raises:
            UserError: The server refuses it or does not answer.
        """
        try:
            self._call(self.core.create_namespaced_service, self.namespace, manifest, but=_EXISTS)
        except NoAnswer as problem:
            raise UserError(f"{problem}; start again to go on with the job") from None

    def job(self, name: str) -> Any:
        """The job, or None where there is none.

        Raises:
            NoAnswer: The server has problems of its own.
        """
        return self._call(self.batch.read_namespaced_job, name, self.namespace, but=_NOT_FOUND)

    def pods(self, job: str) -> list[Any]:
        """The pods of a job.

        Raises:
            NoAnswer: The server has problems of its own.
        """
        found = self._call(self.core.list_namespaced_pod, self.namespace, label_selector=selector(job))
        return list(found.items)

    def delete_job(self, name: str) -> None:
        """Delete a job and, before it, its pods; a server that does not answer is a warning."""
        order: dict[str, Any] = {"propagation_policy": "Foreground", "but": _NOT_FOUND}
        try:
            self._call(self.batch.delete_namespaced_job, name, self.namespace, **order)
        except (NoAnswer, Refused) as problem:
            _log.warning("%s", problem)

    def logs(self, job: str) -> Iterator[tuple[str, str]]:
        """Each pod's name and the end of what it printed, as far as that can still be had."""
        try:
            for pod in self.pods(job):
                name = pod.metadata.name
                read = self.core.read_namespaced_pod_log
                yield name, str(self._call(read, name, self.namespace, tail_lines=_LOG_LINES))
        except (NoAnswer, Refused) as problem:
            _log.warning("the pods' logs: %s", problem)

    def _call(self, operation: Callable[..., Any], *values: Any, but: int = 0, **options: Any) -> Any:
        """Call the API; the status `but` means None."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return operation(*values, _request_timeout=_REQUEST_SECONDS, **options)
        except ApiException as error:
            if error.status == but:
                return None
            told = f"Kubernetes, {operation.__name__}: {error.status} {error.reason}: {error.body}"
            if error.status == _TOO_MANY or error.status >= 500:
                raise NoAnswer(told) from None
            raise Refused(told) from None
        except HTTPError as error:
            raise NoAnswer(f"Kubernetes, {operation.__name__}: {error}") from None
