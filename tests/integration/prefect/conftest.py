"""What the tests on a real server share."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.prefect.projects import Project, deployed_from


@pytest.fixture
def project(prefect_server: str, tmp_path: Path, project_root: Path, tiny_table: Path) -> Iterator[Project]:
    """The project's flows in a folder of its own; workers and all that they started end with the test."""
    with deployed_from(tmp_path / "project", prefect_server, project_root, tiny_table) as made:
        yield made


@pytest.fixture
def settings() -> dict[str, Any]:
    """Parameters with which preparation takes a second."""
    return {"prepare": {"conformers": 1, "split": "random", "workers": 1}}


@pytest.fixture
def run_in_background() -> Callable[[Callable[[], None]], threading.Thread]:
    """Start something in a thread."""

    def start(function: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=function, daemon=True)
        thread.start()
        return thread

    return start
