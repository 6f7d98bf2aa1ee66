"""The ranks as an indexed Kubernetes job, through the official client."""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unimol2_tasks.errors import UserError
from unimol2_tasks.params import LaunchParams
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launch import STACKS, request_file
from unimol2_tasks.training.launchers.kubernetes_api import Cluster, Refused, connect
from unimol2_tasks.training.launchers.kubernetes_end import (
    alive,
    begun,
    ending_of,
    finished,
    why_it_cannot_start,
)
from unimol2_tasks.training.launchers.kubernetes_manifest import job_manifest, service_manifest
from unimol2_tasks.training.launchers.launcher import Ending, Phase
from unimol2_tasks.training.launchers.poll import NoAnswer, Poll
from unimol2_tasks.training.launchers.record import LaunchRecord, refuse_launch_of_another_kind

_log = logging.getLogger(__name__)
# After the pods' own grace: the kubelet's kill and the controllers' clean-up.
_END_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class KubernetesLauncher:
    """Creates indexed jobs.

    Attributes:
        params: Nodes, and what the pods are made of.
        grace: Seconds that the ranks need for an emergency checkpoint.
        folders: What the ranks read besides the run folder.
        connect: Makes the connection to a namespace, as kubeconfig or the pod's service account say.
    """

    params: LaunchParams
    grace: float
    folders: tuple[Path, ...] = ()
    connect: Callable[[str], Cluster] = connect

    def attach(self, run: RunFolder) -> "KubernetesLaunch | None":
        """The job of an earlier supervisor, if it was created and has not ended."""
        refuse_launch_of_another_kind(run, "kubernetes")
        record = LaunchRecord.read(run)
        if record is None:
            return None
        launch = self._follow(run, record)
        try:
            return launch if launch.revive() else None
        except NoAnswer as problem:
            raise UserError(f"{problem}; it is needed to see whether this run has a job already") from None

    def start(self, run: RunFolder, ranks: int, environment: Mapping[str, str]) -> "KubernetesLaunch":
        """Create the job, and the service that it owns."""
        self._refuse_unshared(run)
        record = LaunchRecord("kubernetes", f"unimol2-{uuid.uuid4().hex[:12]}")
        manifest = job_manifest(run, record.name, ranks, self.params, environment, self.grace)
        launch = self._follow(run, record)
        request_file(run).write_text("", encoding="utf-8")
        record.write(run)
        launch.create(manifest)
        _log.info("created %s", launch.name)
        return launch

    def cancel(self, run: RunFolder) -> None:
        """Delete the job of this run, also one whose creation was interrupted."""
        record = LaunchRecord.read(run)
        if record is not None:
            self._follow(run, record).end()

    def _follow(self, run: RunFolder, record: LaunchRecord) -> "KubernetesLaunch":
        cluster = self.connect(self.params.kubernetes.namespace)
        return KubernetesLaunch(run, record, cluster, self.params, self.grace)

    def _refuse_unshared(self, run: RunFolder) -> None:
        """Pods see nothing but the claim."""
        mount = self.params.kubernetes.mount_path
        for folder in (run.path, *self.folders):
            if mount is None or not folder.absolute().is_relative_to(mount):
                raise UserError(
                    f"{folder}: not below launch.kubernetes.mount_path={mount}, so the pods cannot see it; "
                    "give --out and the inputs on the claim, or mount it at the same path here"
                )


@dataclass(slots=True)
class KubernetesLaunch:
    """A created job."""

    run: RunFolder
    record: LaunchRecord
    cluster: Cluster
    params: LaunchParams
    grace: float
    poll: Poll = field(init=False)
    _ending: Ending = field(default_factory=Ending)
    _begun: bool = False

    def __post_init__(self) -> None:
        self.poll = Poll(self._ask, self.params.poll_seconds)

    @property
    def name(self) -> str:
        """With the name that kubectl takes."""
        return f"Kubernetes job {self.cluster.namespace}/{self.record.name}"

    @property
    def files_lag(self) -> float:
        """As long as between two questions: NFS shows new files late."""
        return self.params.poll_seconds

    def revive(self) -> bool:
        """Whether the job is there to be followed; what is left of one that has ended is deleted.

        Raises:
            NoAnswer: Nobody knows.
            UserError: It is being deleted, and does not end.
        """
        job = self.cluster.job(self.record.name)
        if job is not None and not self.record.stopping and finished(job) is None:
            self._create_service(job)
            return True
        self.end()
        if LaunchRecord.read(self.run) is not None:
            raise UserError(
                f"{self.name} of this run does not end yet; where its node is gone for good, "
                "kubectl delete pod --force frees it"
            )
        return False

    def create(self, manifest: dict[str, Any]) -> None:
        """Create the job, and the service that it owns.

        Raises:
            UserError: The server refuses, or does not answer.
        """
        try:
            job = self.cluster.create_job(manifest)
        except Refused:
            LaunchRecord.forget(self.run)
            raise
        self._create_service(job)

    def _create_service(self, job: Any) -> None:
        service = service_manifest(self.record.name, self.cluster.namespace, job.metadata.uid)
        try:
            self.cluster.create_service(service)
        except Refused:
            # Without it the pods would wait for each other in vain.
            self.end()
            raise

    def phase(self) -> Phase:
        """What the API last said.

        Raises:
            UserError: A pod waits for something that only a person can change.
        """
        return self.poll()

    def request_stop(self) -> None:
        """Delete the job: its pods get SIGTERM and their grace, and their logs go with them."""
        self._stopping()
        self.cluster.delete_job(self.record.name)
        self._keep_logs()

    def dump_stacks(self) -> None:
        """Through the run folder, which all pods watch."""
        request_file(self.run).write_text(STACKS, encoding="utf-8")
        self.poll.wait_for_end(self.files_lag)

    def end(self) -> None:
        """Keep the pods' logs, delete the job, and wait until nothing of it is left."""
        if not self.record.stopping:
            self._keep_logs()
            self._stopping()
        self.cluster.delete_job(self.record.name)
        if self.poll.wait_for_end(self.grace + _END_SECONDS):
            LaunchRecord.forget(self.run)
        else:
            _log.warning("%s was deleted and has not ended yet", self.name)

    def ending(self) -> Ending:
        """What job and pods said when it was found to have ended."""
        return self._ending

    def _stopping(self) -> None:
        """Nobody shall go on with a job that is being deleted."""
        self.record = replace(self.record, stopping=True)
        self.record.write(self.run)
        self.poll.hurry()

    def _ask(self) -> Phase:
        job, pods = self.cluster.job(self.record.name), self.cluster.pods(self.record.name)
        if (job is None or finished(job) is not None) and not any(alive(pod) for pod in pods):
            deleted = Ending("stopped", f"{self.name} was deleted")
            self._ending = deleted if job is None else ending_of(job, pods)
            return "ended"
        # A rank that ends or is not ready for a while does not put the others back into a queue.
        self._begun = self._begun or (job is not None and begun(job, self.params.nodes))
        if self._begun:
            return "running"
        obstacle = why_it_cannot_start(pods)
        if obstacle is not None and not self.record.stopping:
            raise UserError(obstacle)
        return "waiting"

    def _keep_logs(self) -> None:
        with self.run.log.open("a", encoding="utf-8") as log:
            for pod, text in self.cluster.logs(self.record.name):
                log.write(f"--- {pod}\n{text}\n")
