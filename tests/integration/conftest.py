"""What the integration tests share: the installed commands, real servers, an empty DVC project."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from tests.integration.prefect_servers import BIN, running_server
from unimol2_tasks.params import Params

Run = Callable[..., subprocess.CompletedProcess[str]]
BUCKET = "unimol2"


@pytest.fixture(scope="session")
def run_command() -> Run:
    """Run a command of this environment: `run_command("unimol2", "doctor", cwd=folder).stdout`."""

    def run(command: str, *arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(BIN / command), *arguments],
            cwd=cwd,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server with a database of its own; gives the address of its API."""
    with running_server(tmp_path_factory.mktemp("prefect-server")) as api:
        yield api


@pytest.fixture(scope="module")
def prefect_home(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A client of a Prefect server; everything it writes stays below this folder."""
    home = tmp_path_factory.mktemp("prefect")
    settings = {
        PREFECT_API_URL: prefect_server,
        PREFECT_HOME: home,
        PREFECT_LOCAL_STORAGE_PATH: home / "storage",
        # What is still on its way when the server ends would be complained about.
        PREFECT_LOGGING_TO_API_ENABLED: False,
    }
    with temporary_settings(updates=settings):
        yield home


@pytest.fixture(scope="session")
def tiny_params_file(tmp_path_factory: pytest.TempPathFactory, tiny_params: Params) -> Path:
    """The tiny parameters as a person would write them."""
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    path.write_text(yaml.safe_dump(tiny_params.model_dump(mode="json", exclude_defaults=True)))
    return path


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket=BUCKET)
    yield endpoint
    server.stop()


@pytest.fixture
def s3_environment(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of somebody who works with that server, in an empty folder; gives `s3://bucket`."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}"


@pytest.fixture
def dvc_project(tmp_path: Path, run_command: Run) -> Path:
    """An empty Git repository with DVC set up."""
    if shutil.which("git") is None:
        pytest.skip("git, which DVC needs, is not on this machine")
    project = tmp_path / "project"
    project.mkdir()
    for arguments in (
        ["init", "--quiet"],
        ["config", "user.name", "Test"],
        ["config", "user.email", "test@localhost"],
    ):
        subprocess.run(["git", *arguments], cwd=project, check=True)
    run_command("dvc", "init", "--quiet", cwd=project)
    return project
