"""Prefect blocks: where artifacts live, and how training is launched.

Registered with `prefect block register -m unimol2_tasks.blocks`.
"""

from pathlib import Path

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from unimol2_tasks.artifacts.manifest import ArtifactRef, Kind
from unimol2_tasks.artifacts.s3 import S3Options
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.params import Params, parse_params


class ArtifactStore(Block):
    """Where artifacts live: S3 or an S3-compatible server, and the local cache of what was fetched.

    What is left empty comes from the AWS environment and configuration files of the worker.

    Example:
        ```python
        from unimol2_tasks.blocks import ArtifactStore

        store = ArtifactStore.load("BLOCK_NAME").store()
        ```
    """

    _block_type_name = "Uni-Mol2 Artifact Store"
    _block_type_slug = "unimol2-artifact-store"

    endpoint_url: str | None = Field(None, description="Address of an S3-compatible server; empty for AWS.")
    region: str = Field(..., description="Region of the bucket; us-east-1 where the server knows none.")
    access_key: str | None = Field(None, description="Access key; empty where a role gives access.")
    secret_key: SecretStr | None = Field(None, description="Secret key; empty where a role gives access.")
    cache: Path = Field(
        Path(".unimol2/cache"), description="Folder for verified copies of fetched artifacts."
    )

    def store(self) -> Store:
        """The store that the stages take."""
        secret = None if self.secret_key is None else self.secret_key.get_secret_value()
        return Store(S3Options(self.endpoint_url, self.access_key, secret, self.region), self.cache)


class LaunchProfile(Block):
    """How training is launched on the machine where the flow runs.

    Example:
        ```python
        from unimol2_tasks.blocks import LaunchProfile

        params = LaunchProfile.load("BLOCK_NAME").apply(params)
        ```
    """

    _block_type_name = "Uni-Mol2 Launch Profile"
    _block_type_slug = "unimol2-launch-profile"

    ranks: int = Field(..., ge=1, description="Training processes, one per GPU.")
    threads: int | None = Field(None, ge=1, description="CPU threads of each; empty shares out the cores.")
    hang_seconds: float = Field(900.0, gt=0, description="Seconds without a step after which it restarts.")
    max_restarts: int = Field(2, ge=0, description="Restarts after a crash or a hang.")

    def apply(self, params: Params) -> Params:
        """The same parameters, launched this way.

        Raises:
            ParameterError: The batch cannot be shared out over the ranks.
        """
        values = params.model_dump()
        for section in ("pretrain", "finetune"):
            values[section] |= {"ranks": self.ranks, "threads": self.threads}
        values["supervision"] |= {"hang_seconds": self.hang_seconds, "max_restarts": self.max_restarts}
        return parse_params(values, f"launch profile with {self.ranks} ranks")


def store_of(block: ArtifactStore | None) -> Store:
    """The block's store; without a block folders, and S3 as the environment says."""
    return Store() if block is None else block.store()


def reference(uri: str, kind: Kind, block: ArtifactStore | None = None) -> ArtifactRef:
    """The verified artifact at an address that a person typed, as a reference for tasks.

    Raises:
        ArtifactError: It is missing, damaged or of another kind.
    """
    return store_of(block).fetch(uri, kind).ref
