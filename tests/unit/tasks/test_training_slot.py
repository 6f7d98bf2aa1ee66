from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError

from unimol2_tasks.errors import UserError
from unimol2_tasks.params import LaunchParams
from unimol2_tasks.tasks import training_slot as module
from unimol2_tasks.tasks.repeating import passes_by_itself
from unimol2_tasks.tasks.training_slot import training_slot

GPU_LIMIT = "PREFECT_INTEGRATIONS_UNIMOL2_GPU_LIMIT"
LOCAL, SLURM = LaunchParams(), LaunchParams(launcher="slurm")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The slots that were asked for."""
    slots: list[tuple[str, dict[str, Any]]] = []

    @contextmanager
    def concurrency(name: str, **options: Any) -> Iterator[None]:
        slots.append((name, options))
        yield

    monkeypatch.setattr(module, "concurrency", concurrency)
    return slots


def test_no_slot_is_asked_for_unless_somebody_says_so(
    held: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(GPU_LIMIT, raising=False)
    with training_slot(LOCAL):
        pass
    # A Prefect variable that does not exist.
    monkeypatch.setenv(GPU_LIMIT, "")
    with training_slot(LOCAL):
        pass
    assert held == []


def test_a_local_training_holds_a_slot_and_one_of_a_cluster_does_not(
    held: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GPU_LIMIT, "gpu")
    with training_slot(SLURM):
        assert held == []
    with training_slot(LOCAL):
        ((name, options),) = held
    assert name == "gpu"
    assert options["strict"] is True
    assert options["raise_on_lease_renewal_failure"] is False


def test_a_limit_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def concurrency(name: str, **options: Any) -> Iterator[None]:
        raise ConcurrencySlotAcquisitionError(name)
        yield

    monkeypatch.setattr(module, "concurrency", concurrency)
    monkeypatch.setenv(GPU_LIMIT, "gpu")
    with (
        pytest.raises(UserError, match=r"limit gpu does not exist; `prefect gcl create gpu --limit 1` makes"),
        training_slot(LOCAL),
    ):
        pytest.fail("no training without its slot")


def test_a_server_that_fails_is_no_missing_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    request = httpx.Request("POST", "http://server/api/v2/concurrency_limits")

    @contextmanager
    def concurrency(name: str, **options: Any) -> Iterator[None]:
        raise ConcurrencySlotAcquisitionError(name) from httpx.ConnectError("refused", request=request)
        yield

    monkeypatch.setattr(module, "concurrency", concurrency)
    monkeypatch.setenv(GPU_LIMIT, "gpu")
    with pytest.raises(httpx.ConnectError) as failed, training_slot(LOCAL):
        pytest.fail("no training without its slot")
    assert passes_by_itself(failed.value)
