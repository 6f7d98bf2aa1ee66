"""What `prefect.yaml` says of runs that meet."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.settings import get_current_settings


@pytest.fixture
def limits(project_root: Path) -> dict[str, tuple[bool, ConcurrencyLimitConfig]]:
    """By deployment whether it has a schedule, and its limit, read as Prefect does."""
    settings: dict[str, Any] = yaml.safe_load((project_root / "prefect.yaml").read_text(encoding="utf-8"))
    return {
        entry["name"]: ("schedules" in entry, ConcurrencyLimitConfig(**entry["concurrency_limit"]))
        for entry in settings["deployments"]
        if "concurrency_limit" in entry
    }


def test_what_a_person_starts_waits_and_what_a_schedule_starts_does_not_pile_up(
    limits: dict[str, tuple[bool, ConcurrencyLimitConfig]],
) -> None:
    assert {scheduled for scheduled, _ in limits.values()} == {True, False}
    for name, (scheduled, limit) in limits.items():
        assert limit.collision_strategy == ("CANCEL_NEW" if scheduled else "ENQUEUE"), name


def test_a_place_is_kept_longer_than_prefect_itself_would_while_a_node_comes_up(
    limits: dict[str, tuple[bool, ConcurrencyLimitConfig]],
) -> None:
    usual = get_current_settings().server.concurrency.initial_deployment_lease_duration
    for name, (_, limit) in limits.items():
        assert (limit.grace_period_seconds or 0) > usual, name
