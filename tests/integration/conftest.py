"""What the integration tests share: the installed commands, real servers, an empty DVC project."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import httpx
import psutil
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

from unimol2_tasks.params import Params

Run = Callable[..., subprocess.CompletedProcess[str]]
BIN = Path(sys.executable).parent
BUCKET = "unimol2"
_SERVER_START_SECONDS = 300.0


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
def free_port() -> Callable[[], int]:
    """Finds a port of the loopback interface that nobody listens on."""

    def find() -> int:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return int(listener.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[str]:
    """A Prefect server with a database of its own; gives the address of its API."""
    folder, port = tmp_path_factory.mktemp("prefect-server"), free_port()
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env={**environment, "PREFECT_HOME": str(folder)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    api = f"http://127.0.0.1:{port}/api"
    try:
        _wait_until_healthy(api, process, folder / "server.log")
        yield api
    finally:
        _end(process)


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


def _wait_until_healthy(api: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SERVER_START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{api}/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"the Prefect server did not answer in {_SERVER_START_SECONDS:.0f} s: {log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a server and everything it started."""
    tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    process.terminate()
    _, alive = psutil.wait_procs(tree, timeout=15)
    for left in alive:
        left.kill()
    process.wait()
    psutil.wait_procs(alive, timeout=5)
    assert not any(part.is_running() for part in tree)
