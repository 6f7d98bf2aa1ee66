"""What a server still knows after a restart of the slots that runs hold."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.integration.prefect_servers import running_server


@contextmanager
def client_of_a_server(folder: Path) -> Iterator[SyncPrefectClient]:
    """Prefect's client, which asks a busy server again."""
    with (
        running_server(folder) as api,
        temporary_settings({PREFECT_API_URL: api}),
        get_client(sync_client=True) as client,
    ):
        yield client


def test_slots_outlive_the_server_as_the_page_tells(
    tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (project_root / "docs" / "deployments.md").read_text(encoding="utf-8")
    ((name, value),) = re.findall(r"^prefect config set (\w+LEASE_STORAGE)=(\S+)$", page, re.MULTILINE)
    monkeypatch.setenv(name, value)

    with client_of_a_server(tmp_path) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="gpu", limit=1))
        held = client.increment_concurrency_slots_with_lease(["gpu"], 1, "concurrency", 300)
    lease = held.json()["lease_id"]

    with client_of_a_server(tmp_path) as client:
        client.renew_concurrency_lease(lease, 300)
        client.release_concurrency_slots_with_lease(lease)
        assert client.read_global_concurrency_limit_by_name("gpu").active_slots == 0
