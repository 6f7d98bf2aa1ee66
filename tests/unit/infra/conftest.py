"""The policies of infra/terraform, and an S3 server that enforces them."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from guarded_s3 import GuardedS3
from iam_policies import rendered
from werkzeug.serving import make_server

from unimol2_tasks.artifacts.s3 import S3Options
from unimol2_tasks.artifacts.store import Store

BUCKET = "store"
ADMINISTRATOR = "arn:aws:iam::111122223333:role/storage-administrator"
ROLES = {
    "nobody": [],
    "reader": ["reader"],
    "trainer": ["reader", "trainer"],
    "publisher": ["reader", "publisher"],
    # A worker that runs whole flows.
    "worker": ["reader", "trainer", "publisher"],
}


@pytest.fixture(scope="session")
def infra(project_root: Path) -> Path:
    """The folder infra/."""
    return project_root / "infra"


@pytest.fixture(scope="session")
def policies(infra: Path) -> dict[str, list[dict[str, Any]]]:
    """What decides about each role: its own policies and the bucket's."""
    variables = {
        "bucket": f"arn:aws:s3:::{BUCKET}",
        **{name: name for name in ("tables", "artifacts", "work", "dvc")},
        "administrators": json.dumps([ADMINISTRATOR]),
        "digest": "?" * 64,
    }

    def policy(name: str) -> dict[str, Any]:
        return rendered(infra / "terraform" / "policies" / f"{name}.json", variables)

    return {role: [policy("bucket"), *map(policy, names)] for role, names in ROLES.items()}


@pytest.fixture
def guard(policies: dict[str, list[dict[str, Any]]]) -> GuardedS3:
    """What stands before the bucket; the role `owner` may do everything."""
    everything = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    return GuardedS3({**policies, "owner": [everything]})


@pytest.fixture
def endpoint(guard: GuardedS3) -> Iterator[str]:
    """Address of the server, with the empty bucket."""
    server = make_server("127.0.0.1", 0, guard, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    owner = _client(address, "owner")
    owner.create_bucket(Bucket=BUCKET)
    yield address
    for entry in owner.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        owner.delete_object(Bucket=BUCKET, Key=entry["Key"])
    owner.delete_bucket(Bucket=BUCKET)
    server.shutdown()
    thread.join()


@pytest.fixture
def client(endpoint: str) -> Callable[[str], Any]:
    """A boto3 client of a role."""
    return lambda role: _client(endpoint, role)


@pytest.fixture
def store(endpoint: str, tmp_path: Path) -> Callable[[str], Store]:
    """The store as a role has it, with a cache of its own."""
    return lambda role: Store(S3Options(endpoint, role, "secret", "us-east-1"), tmp_path / role)


def _client(endpoint: str, role: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=role,
        aws_secret_access_key="secret",
    )
