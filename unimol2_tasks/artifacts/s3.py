"""S3 through s3fs: options, and errors that a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from unimol2_tasks.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach a bucket; what is None is left to the AWS environment and configuration files."""

    endpoint_url: str | None = None
    """For S3-compatible servers: `http://127.0.0.1:9000`."""
    key: str | None = None
    secret: str | None = None
    region: str | None = None


def is_s3(uri: str) -> bool:
    """Whether `uri` lies on S3."""
    return uri.startswith("s3://")


def open_s3(options: S3Options) -> Any:
    """An s3fs file system that always asks the server, never a cache of its own."""
    import s3fs

    region = {"region_name": options.region} if options.region else {}
    return s3fs.S3FileSystem(
        key=options.key,
        secret=options.secret,
        endpoint_url=options.endpoint_url,
        client_kwargs=region,
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def check_reachable(fs: Any, uri: str) -> None:
    """Ask for one key below `uri`: a missing or closed bucket shows now, not after hours of training."""
    bucket, prefix, _ = fs.split_path(uri)
    fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)


def create_object(fs: Any, uri: str, content: bytes) -> None:
    """Write an object unless somebody else has written it."""
    try:
        fs.pipe_file(uri, content, mode="create")
    except OSError:
        # Servers refuse the second writer in words of their own (412, 409), which s3fs translates in part.
        if not fs.exists(uri):
            raise


@contextmanager
def s3_errors(uri: str) -> Iterator[None]:
    """Turn what s3fs and botocore raise into an `ArtifactError` that names `uri`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except FileNotFoundError:
        raise ArtifactError(f"{uri}: not found; check bucket, key and endpoint") from None
    except PermissionError as error:
        raise ArtifactError(f"{uri}: access refused: {error}; check the credentials") from None
    except (BotoCoreError, ClientError, OSError) as error:
        raise ArtifactError(f"{uri}: S3 failed: {error}") from error
