"""Where training runs, and how it is watched."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params.section import Section


class SupervisionParams(Section):
    """How the processes of training are watched."""

    grace_seconds: float = Field(
        20.0, gt=0, description="Time for an emergency checkpoint (Prefect gives 30)."
    )
    hang_seconds: float = Field(900.0, gt=0, description="Without a step for so long, training is restarted.")
    max_restarts: int = Field(2, ge=0, description="Restarts after a crash or a hang.")


Word = Annotated[str, StringConstraints(pattern=r"^[^\s'\"\\]+$")]
Variables = dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str]


class SlurmParams(Section):
    """What Slurm is asked for; what is left out has the cluster's default."""

    partition: Word | None = Field(None, description="Partition.")
    account: Word | None = Field(None, description="Account that is charged.")
    qos: Word | None = Field(None, description="Quality of service.")
    constraint: Word | None = Field(None, description="Features that the nodes must have.")
    cpus: int | None = Field(None, ge=1, description="CPU cores per node.")
    memory: Word | None = Field(None, description="Memory per node, such as 200G; 0: all of it.")
    setup: tuple[str, ...] = Field(
        (), description="Shell lines to run before training, such as module load cuda."
    )
    options: tuple[Annotated[str, StringConstraints(pattern=r"^--?[A-Za-z][^\r\n]*$")], ...] = Field(
        (), description="Further options of sbatch, one each, such as --exclusive."
    )


class KubernetesParams(Section):
    """What the pods are made of."""

    namespace: Word = Field("default", description="Namespace of job and service.")
    image: Word | None = Field(None, description="Image with this very version of the package installed.")
    volume_claim: Word | None = Field(
        None, description="Persistent volume claim (ReadWriteMany) that holds run folder and dataset."
    )
    mount_path: Path | None = Field(
        None, description="Where the claim is mounted, in the pods as well as where the command runs."
    )
    service_account: Word | None = Field(None, description="Service account of the pods.")
    secret: Word | None = Field(None, description="Secret whose keys become environment variables.")
    gpu_resource: Word = Field("nvidia.com/gpu", description="Name under which nodes offer their GPUs.")
    cpu: Word | None = Field(None, description="CPU cores per pod.")
    memory: Word | None = Field(None, description="Memory per pod, such as 200Gi.")
    shared_memory: Word = Field("8Gi", description="Size of /dev/shm, which counts as memory of the pod.")
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels that the nodes must have."
    )
    tolerations: tuple[dict[str, Any], ...] = Field(
        (), description="Taints that the pods bear, as in a pod's specification."
    )


_NOT_LOCAL = {
    "nodes": "is one machine",
    "time_limit": "has nobody who would end it and start it again",
    "gpus_per_node": "has the GPUs of this machine (CUDA_VISIBLE_DEVICES chooses among them)",
}
"""What launcher local cannot follow, and why."""


class LaunchParams(Section):
    """Where the ranks of training run; prediction always runs on this machine."""

    launcher: Literal["local", "slurm", "kubernetes"] = Field(
        "local", description="local: on this machine; slurm: as a batch job; kubernetes: as an indexed job."
    )
    nodes: int = Field(1, ge=1, description="Nodes, among which the ranks are shared out evenly.")
    gpus_per_node: int | None = Field(
        None,
        ge=0,
        description="GPUs to ask for on each node; none: one per rank; 0: train on CPUs; not for local.",
    )
    time_limit: float | None = Field(
        None,
        gt=0,
        description="Hours after which a launch is stopped, and the next one goes on; not for local.",
    )
    environment: Variables = Field(
        default_factory=dict, description="Environment variables of the ranks; no place for secrets."
    )
    poll_seconds: float = Field(15.0, gt=0, description="Seconds between questions to Slurm or Kubernetes.")
    slurm: SlurmParams = Field(SlurmParams(), description="For launcher slurm.")
    kubernetes: KubernetesParams = Field(KubernetesParams(), description="For launcher kubernetes.")

    @model_validator(mode="after")
    def _say_what_the_launcher_needs(self) -> Self:
        if self.launcher == "local":
            self._refuse_what_only_a_scheduler_can_do()
        if self.launcher == "kubernetes":
            needed = ("image", "volume_claim", "mount_path")
            missing = [name for name in needed if getattr(self.kubernetes, name) is None]
            if missing:
                raise ValueError(f"launcher kubernetes needs kubernetes.{', kubernetes.'.join(missing)}")
        return self

    def _refuse_what_only_a_scheduler_can_do(self) -> None:
        for name, reason in _NOT_LOCAL.items():
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                raise ValueError(f"{name}={value} needs launcher slurm or kubernetes; local {reason}")

    def ranks_per_node(self, ranks: int) -> int:
        """The ranks of each node.

        Raises:
            ParameterError: The ranks cannot be shared out evenly, or a node would have more than GPUs.
        """
        if ranks % self.nodes:
            raise ParameterError(f"ranks={ranks} is not a multiple of launch.nodes={self.nodes}")
        share = ranks // self.nodes
        if self.gpus_per_node and share > self.gpus_per_node:
            raise ParameterError(
                f"{share} ranks per node share launch.gpus_per_node={self.gpus_per_node} GPUs; "
                "have at most one rank per GPU"
            )
        return share

    def gpus(self, ranks: int) -> int:
        """GPUs to ask for on each node."""
        return self.ranks_per_node(ranks) if self.gpus_per_node is None else self.gpus_per_node
