"""The block that says how training is launched."""

from typing import ClassVar, Literal, Self, get_args

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, model_validator

from unimol2_tasks.blocks.pages import LOGO, page
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import KubernetesParams, LaunchParams, Params, SlurmParams, parse_params
from unimol2_tasks.params.launch import Variables

TrainingSection = Literal["pretrain", "finetune"]


class LaunchProfile(Block):
    """How training is launched: on the machine where the flow runs, by Slurm, or by Kubernetes.

    Example:
        ```python
        from unimol2_tasks.blocks import LaunchProfile

        profile = LaunchProfile.load("BLOCK_NAME")
        params = profile.apply(params)
        ```
    """

    _block_type_name = "Uni-Mol2 Launch Profile"
    _block_type_slug = "unimol2-launch-profile"
    _logo_url: ClassVar[HttpUrl | None] = page(LOGO)
    _documentation_url: ClassVar[HttpUrl | None] = page("deployments/#blocks")

    ranks: int = Field(..., ge=1, description="Training processes over all nodes, one per GPU.")
    launcher: Literal["local", "slurm", "kubernetes"] = Field(
        "local", description="local: where the flow runs; slurm: a batch job; kubernetes: an indexed job."
    )
    nodes: int = Field(1, ge=1, description="Nodes, among which the ranks are shared out evenly.")
    gpus_per_node: int | None = Field(
        None, ge=0, description="GPUs to ask for on each node; empty: one per rank; 0: CPUs; not for local."
    )
    time_limit: float | None = Field(
        None, gt=0, description="Hours after which a launch is stopped and the next goes on; not for local."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads per rank; empty shares out the cores.")
    environment: Variables = Field(
        default_factory=dict, description="Environment variables of the ranks; no place for secrets."
    )
    slurm: SlurmParams = Field(
        default_factory=SlurmParams, description="What Slurm is asked for, with launcher slurm."
    )
    kubernetes: KubernetesParams = Field(
        default_factory=KubernetesParams, description="What the pods are made of, with launcher kubernetes."
    )
    grace_seconds: float = Field(
        20.0, gt=0, description="Time for an emergency checkpoint (a local flow gets 30 from Prefect)."
    )
    hang_seconds: float = Field(900.0, gt=0, description="Seconds without a step after which it restarts.")
    max_restarts: int = Field(2, ge=0, description="Restarts after a crash or a hang.")

    @model_validator(mode="after")
    def _refuse_what_cannot_be_launched(self) -> Self:
        try:
            self.launch.ranks_per_node(self.ranks)
        except ParameterError as error:
            # Of a ValueError pydantic makes what names the block.
            raise ValueError(str(error)) from None
        return self

    @property
    def launch(self) -> LaunchParams:
        """The section `launch` of the parameters."""
        return LaunchParams(
            launcher=self.launcher,
            nodes=self.nodes,
            gpus_per_node=self.gpus_per_node,
            time_limit=self.time_limit,
            environment=self.environment,
            slurm=self.slurm,
            kubernetes=self.kubernetes,
        )

    def apply(self, params: Params, *trained: TrainingSection) -> Params:
        """The same parameters, launched this way.

        Args:
            params: What they are otherwise.
            trained: Sections of the trainings that will run; none: of all. The others stay as they are, for
                their batches need not be shared out over these ranks.

        Raises:
            ParameterError: The batch of one cannot be shared out over the ranks.
        """
        values = params.model_dump()
        for section in trained or get_args(TrainingSection):
            values[section] |= {"ranks": self.ranks, "threads": self.threads}
        values["supervision"] |= {
            "grace_seconds": self.grace_seconds,
            "hang_seconds": self.hang_seconds,
            "max_restarts": self.max_restarts,
        }
        # How often a scheduler is asked is not the profile's business.
        values["launch"] = self.launch.model_dump() | {"poll_seconds": params.launch.poll_seconds}
        return parse_params(values, f"launch profile with {self.ranks} ranks")
