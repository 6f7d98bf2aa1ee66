"""Progress as Prefect shows it, on servers that fail."""

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from unimol2_tasks import prefect_progress as module
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.progress import report

REQUEST = httpx.Request("PATCH", "http://server/api/artifacts")


def answer(status: int) -> httpx.HTTPStatusError:
    """What Prefect's client raises where the server answers so."""
    return httpx.HTTPStatusError(
        str(status), request=REQUEST, response=httpx.Response(status, request=REQUEST)
    )


class Server:
    """Progress artifacts, as long as nothing is in its way."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.failure: Exception | None = None
        self.requests = 0
        self.shown: dict[UUID, float] = {}

    def create_progress_artifact(self, percent: float, description: str | None = None) -> UUID:
        """Show a new one."""
        return self.update_progress_artifact(uuid4(), percent)

    def update_progress_artifact(
        self, artifact: UUID, percent: float, description: str | None = None
    ) -> UUID:
        """Show another value."""
        self.requests += 1
        if self.failure is not None:
            raise self.failure
        self.shown[artifact] = percent
        return artifact


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server, and a clock that stands still between the reports."""
    made = Server()
    monkeypatch.setattr(module, "create_progress_artifact", made.create_progress_artifact)
    monkeypatch.setattr(module, "update_progress_artifact", made.update_progress_artifact)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: made.seconds))
    monkeypatch.setenv("PREFECT_INTEGRATIONS_UNIMOL2_PROGRESS_SECONDS", "2")
    return made


def test_an_artifact_is_updated_no_more_often_than_the_setting_says(server: Server) -> None:
    with progress_artifacts():
        for done in range(1, 10):
            server.seconds += 1
            report("pretrain", done, 10)
        report("pretrain", 10, 10)
    assert server.requests == 6
    assert list(server.shown.values()) == [100.0]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(lambda: httpx.ConnectError("refused", request=REQUEST), id="away"),
        pytest.param(lambda: httpx.ReadTimeout("timed out", request=REQUEST), id="slow"),
        pytest.param(lambda: answer(500), id="broken"),
        pytest.param(lambda: answer(404), id="deleted"),
    ],
)
def test_a_server_that_fails_is_left_alone_for_a_minute(
    server: Server, failure: Callable[[], Exception], caplog: Any
) -> None:
    with caplog.at_level(logging.WARNING), progress_artifacts():
        report("pretrain", 1, 1000)
        server.failure = failure()
        for done in range(2, 301):
            server.seconds += 1
            report("pretrain", done, 1000)
        assert server.requests == 1 + 5
        server.failure = None
        server.seconds += 60
        report("pretrain", 500, 1000)
    assert 50.0 in server.shown.values()
    (warning,) = caplog.messages
    assert warning.startswith("progress cannot be shown, and the work goes on: ")


def test_an_artifact_that_was_deleted_is_made_anew_and_no_other(server: Server) -> None:
    with progress_artifacts():
        for failure in (None, answer(503), None, answer(404), None):
            server.failure = failure
            server.seconds += 100
            report("pretrain", 1, 10)
        assert len(server.shown) == 2


def test_the_end_is_shown_though_the_server_was_away_a_moment_ago(server: Server) -> None:
    with progress_artifacts():
        report("pretrain", 1, 10)
        server.failure = httpx.ReadTimeout("timed out", request=REQUEST)
        server.seconds += 2
        report("pretrain", 9, 10)
        server.failure = None
        report("pretrain", 10, 10)
    assert list(server.shown.values()) == [100.0]
