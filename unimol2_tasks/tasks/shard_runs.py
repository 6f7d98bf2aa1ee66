"""Runs of a deployment that work on the shards of a screening: started once, followed, cancelled with it."""

import time
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterName,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments import run_deployment
from prefect.states import Cancelling
from prefect.utilities.hashing import hash_objects

from unimol2_tasks.errors import UserError
from unimol2_tasks.tasks.repeating import LostWorker
from unimol2_tasks.training.interruption import interrupted

_POLL_SECONDS = 1.0
_ALIVE = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]
_LOST = [StateType.FAILED, StateType.CRASHED, StateType.CANCELLED, StateType.CANCELLING]


def shards_tag(screening: UUID | str) -> str:
    """By which the runs of a screening's shards are found."""
    return f"screen-{screening}"


def start(deployment: str, name: str, parameters: dict[str, Any], tags: tuple[str, ...]) -> FlowRun:
    """Create a run for a shard, or find the one that an earlier attempt created and lost sight of.

    Args:
        deployment: `flow/deployment`.
        name: Of the shard, and of its run.
        parameters: Of the run, as plain JSON; a run with others is another.
        tags: Of the screening; the first is no other screening's.
    """
    # Typed as sync or async by Prefect; in a synchronous task it is the run.
    run: Any = run_deployment(
        deployment,
        parameters=parameters,
        flow_run_name=name,
        timeout=0,
        tags=["unimol2", *tags],
        # The server gives the run that has this key; one that was lost must not be it.
        idempotency_key=f"{tags[0]} {name} {hash_objects(parameters)} {_lost(tags[0], name)}",
    )
    found: FlowRun = run
    return found


def follow(run: FlowRun, hours: float | None) -> None:
    """Wait for the end of a run; one that is late, or whose screening was interrupted, is cancelled.

    Raises:
        LostWorker: It crashed or was cancelled, or did not end within `hours`.
        UserError: It failed.
        RuntimeError: The screening was interrupted.
    """
    deadline = None if hours is None else time.monotonic() + hours * 3600
    with get_client(sync_client=True) as client:
        while run.state is None or not run.state.is_final():
            if interrupted() or (deadline is not None and time.monotonic() >= deadline):
                # Two that work on the same do not disturb each other's files, but take each other's cores.
                client.set_flow_run_state(run.id, Cancelling())
                break
            time.sleep(_POLL_SECONDS)
            # Its worker goes on without the server, and so does the wait.
            with suppress(httpx.TransportError):
                run = client.read_flow_run(run.id)
    _refuse_unfinished(run)


def cancel(screening: UUID) -> None:
    """Cancel the runs of a screening's shards that have not ended."""
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[shards_tag(screening)]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_ALIVE)),
    )
    with get_client(sync_client=True) as client:
        for run in _all_pages(client, wanted):
            client.set_flow_run_state(run.id, Cancelling())


def _lost(tag: str, name: str) -> int:
    """How many runs of a shard have ended without having done it."""
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag]),
        name=FlowRunFilterName(any_=[name]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_LOST)),
    )
    with get_client(sync_client=True) as client:
        return len(_all_pages(client, wanted))


def _all_pages(client: SyncPrefectClient, wanted: FlowRunFilter) -> list[FlowRun]:
    found: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, offset=len(found)):
        found += page
    return found


def _refuse_unfinished(run: FlowRun) -> None:
    state = run.state
    if state is not None and state.is_completed():
        return
    what = f"{run.name}: run {run.id}"
    if interrupted():
        raise RuntimeError(f"{what} was cancelled with its screening")
    if state is not None and state.is_failed():
        raise UserError(f"{what} failed: {state.message}")
    late = state is None or not state.is_final()
    raise LostWorker(f"{what} is {'late' if late else state.name}")  # type: ignore[union-attr]
