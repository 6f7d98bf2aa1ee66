"""Prefect servers for tests and measurements."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

BIN = Path(sys.executable).parent
_START_SECONDS = 300.0


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_server(folder: Path) -> Iterator[str]:
    """A Prefect server with its database in a folder; gives the address of its API."""
    port = free_port()
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


def _wait_until_healthy(api: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{api}/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError(f"the Prefect server did not answer in {_START_SECONDS:.0f} s: {log.read_text()}")


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
