"""A planted secret is used for everything, and then looked for everywhere."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import httpx
import pytest
from prefect import flow
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_LOGGING_TO_API_BATCH_INTERVAL,
    temporary_settings,
)

from unimol2_flows.pretrain import pretrain
from unimol2_tasks.blocks import ArtifactStore
from unimol2_tasks.params import Params

BUCKET = "unimol2"
ACCESS_KEY, SECRET = "AKIAPLANTEDPLANTED00", "planted/Secret+Key=0123456789abcdefghijkl"
PAGE = 200


@flow(name="planted-secret")
def everything(store: ArtifactStore, table: str, missing: str, params: Params) -> None:
    """Pretrain on S3 and fail there; the block goes through the parameters of runs, as people pass it."""
    pretrain(table, "secrets/works", params, store=store)
    pretrain(missing, "secrets/fails", params, store=store)


@pytest.fixture(scope="module")
def places(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_server: str,
    s3_endpoint: str,
    tiny_table: Path,
    tiny_params: Params,
) -> dict[str, Any]:
    """Where things were written by a run that had the secret, one part of which failed."""
    folder = tmp_path_factory.mktemp("secrets")
    s3 = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    s3.upload_file(str(tiny_table), BUCKET, "secrets/molecules.csv")
    settings = {
        PREFECT_API_URL: prefect_server,
        PREFECT_HOME: folder / "prefect",
        PREFECT_LOCAL_STORAGE_PATH: folder / "storage",
        PREFECT_LOGGING_TO_API_BATCH_INTERVAL: 0.1,
    }
    training = {"steps": 4, "ranks": 1, "checkpoint_every": 2}
    params = tiny_params.model_copy(update={"pretrain": tiny_params.pretrain.model_copy(update=training)})
    with temporary_settings(updates=settings), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        block = ArtifactStore(
            root=f"s3://{BUCKET}",
            endpoint_url=s3_endpoint,
            region="us-east-1",
            access_key=ACCESS_KEY,
            secret_key=SECRET,  # type: ignore[arg-type] - as a person gives it
        )
        block.save("planted")
        state = everything(
            ArtifactStore.load("planted"),
            f"s3://{BUCKET}/secrets/molecules.csv",
            f"s3://{BUCKET}/secrets/absent.csv",
            params,
            return_state=True,
        )
        assert state.is_failed()
        assert "secrets/absent.csv" in str(state.message)
    return {"folder": folder, "api": prefect_server, "s3": s3}


def forms(secret: str) -> list[bytes]:
    """How a secret may be written: as it is, in JSON, in an address, in base 64."""
    written = {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
    encoded = base64.b64encode(secret.encode())
    return [*(form.encode() for form in written), encoded.rstrip(b"=")]


def assert_absent(content: bytes, where: object) -> None:
    assert not any(form in content for form in forms(SECRET)), where


def test_a_secret_would_be_found_in_each_of_its_forms() -> None:
    for form in forms(SECRET):
        with pytest.raises(AssertionError):
            assert_absent(b"before " + form + b" after", "")


def test_no_file_of_the_run_holds_the_secret(places: dict[str, Any]) -> None:
    """Results, logs, jobs of the ranks, DeepSpeed's configuration, checkpoints, the cache."""
    files = [path for path in places["folder"].rglob("*") if path.is_file()]
    assert {"manifest.json"} <= {path.name for path in files}
    for path in files:
        assert_absent(path.read_bytes(), path)


def test_no_object_in_the_bucket_holds_the_secret(places: dict[str, Any]) -> None:
    s3 = places["s3"]
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="secrets/")["Contents"]]
    assert any(key.endswith("manifest.json") for key in keys)
    for key in keys:
        assert_absent(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read(), key)


@pytest.mark.parametrize("what", ["flow_runs", "task_runs", "logs", "artifacts", "events"])
def test_nothing_that_the_server_tells_holds_the_secret(places: dict[str, Any], what: str) -> None:
    told = list(pages(places["api"], what))
    assert any(told), what
    for content in told:
        assert_absent(content, what)


def pages(api: str, what: str) -> Iterator[bytes]:
    """All that a server tells about runs of this module and of others."""
    with httpx.Client(base_url=api, timeout=60) as client:
        if what == "events":
            answer = client.post("/events/filter", json={"limit": 50}).raise_for_status()
            while True:
                yield answer.content if answer.json()["events"] else b""
                following = answer.json()["next_page"]
                if following is None:
                    return
                answer = client.get(following).raise_for_status()
        offset = 0
        while True:
            answer = client.post(f"/{what}/filter", json={"limit": PAGE, "offset": offset}).raise_for_status()
            yield answer.content if answer.json() else b""
            if len(answer.json()) < PAGE:
                return
            offset += PAGE
