"""The block that says where artifacts live, and what flows and tasks make of it."""

from pathlib import Path
from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr

from unimol2_tasks.artifacts.manifest import ArtifactRef, Kind
from unimol2_tasks.artifacts.s3 import S3Options, is_s3
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.blocks.pages import LOGO, page
from unimol2_tasks.settings import settings


class ArtifactStore(Block):
    """Where artifacts live: a folder, a bucket of S3, or of a server that speaks its language.

    Keys may be left empty where a role gives access (instance profile, service account of the pod): what is
    empty comes from the AWS environment and configuration files of the worker.

    Example:
        ```python
        from unimol2_tasks.blocks import ArtifactStore

        store = ArtifactStore.load("BLOCK_NAME")
        dataset = store.store().fetch(store.place("screens/dataset"), "dataset")
        ```
    """

    _block_type_name = "Uni-Mol2 Artifact Store"
    _block_type_slug = "unimol2-artifact-store"
    _logo_url: ClassVar[HttpUrl | None] = page(LOGO)
    _documentation_url: ClassVar[HttpUrl | None] = page("deployments/#blocks")

    # Required, here and there one field: the server refuses a value that fits the schema of a block as well
    # as that of a reference to a saved one.
    root: str = Field(
        ...,
        min_length=1,
        description="Folder or s3:// prefix below which relative addresses of artifacts lie.",
    )
    endpoint_url: str | None = Field(None, description="Address of an S3-compatible server; empty for AWS.")
    region: str | None = Field(
        None, description="Region of the bucket; us-east-1 where the server knows none."
    )
    access_key: str | None = Field(None, description="Access key; empty where a role gives access.")
    secret_key: SecretStr | None = Field(None, description="Secret key; empty where a role gives access.")
    cache: Path | None = Field(
        None,
        description="Folder for verified copies of fetched artifacts; empty: as the worker's setting says.",
    )

    def store(self) -> Store:
        """The store that the stages take."""
        secret = None if self.secret_key is None else self.secret_key.get_secret_value()
        options = S3Options(self.endpoint_url, self.access_key, secret, self.region)
        return Store(options, self.cache or settings().cache)

    def place(self, address: str) -> str:
        """The whole address: relative ones lie below `root`."""
        if is_s3(address) or Path(address).is_absolute():
            return address
        return f"{self.root.rstrip('/')}/{address}"


def store_of(block: ArtifactStore | None) -> Store:
    """The block's store; without a block folders, and S3 as the AWS environment says."""
    return Store(cache=settings().cache) if block is None else block.store()


def place(address: str, block: ArtifactStore | None) -> str:
    """The whole address of an artifact; without a block relative ones begin in the working folder."""
    return address if block is None else block.place(address)


def reference(uri: str, kind: Kind | None, block: ArtifactStore | None = None) -> ArtifactRef:
    """The verified artifact at an address that a person typed, as a reference for tasks; None: of any kind.

    Raises:
        ArtifactError: It is missing, damaged or of another kind.
    """
    return store_of(block).fetch(place(uri, block), kind).ref
