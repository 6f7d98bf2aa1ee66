"""Runs that a schedule makes: what is done is not done again, and new data get a folder of their own."""

from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.states import Completed

from unimol2_tasks.artifacts.manifest import fingerprint
from unimol2_tasks.blocks import ArtifactStore, store_of
from unimol2_tasks.datasets.readers import table_digest
from unimol2_tasks.params import Params
from unimol2_tasks.versions import code_version

SKIPPED = "Skipped"
KEY = "{key}"
_KEY_LENGTH = 12


def overtaken() -> Any:
    """A final state for a scheduled run whose work is done already; None: go on.

    After a time without workers the runs of many nights wait. The first that gets its turn works on what is
    there now, so those that were due before it began have nothing left to do. A run that a person started
    always goes on.
    """
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    if run is None or run.deployment_id is None or not run.auto_scheduled:
        return None
    done = next((other for other in _done_since_due(run) if other.parameters == run.parameters), None)
    if done is None:
        return None
    return Completed(name=SKIPPED, message=f"run {done.name} ({done.id}) began later and has done the same")


def keyed(out: str, params: Params, store: ArtifactStore | None, *tables: str | None) -> str:
    """`out` with a key of tables, parameters and code in place of `{key}`.

    An artifact is never overwritten: where a table changes from run to run, each state of it needs a place of
    its own, and an unchanged one finds what was made of it.

    Raises:
        UserError: A table cannot be read.
    """
    if KEY not in out:
        return out
    digests = {
        str(number): table_digest(table, store_of(store))
        for number, table in enumerate(tables)
        if table is not None
    }
    key = fingerprint("run", params.model_dump(mode="json"), digests, code_version())
    return out.replace(KEY, key[:_KEY_LENGTH])


def _done_since_due(run: FlowRun) -> list[FlowRun]:
    """Completed runs of the same deployment that began when this one was due, or later."""
    wanted = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])),
        start_time=FlowRunFilterStartTime(after_=run.expected_start_time),
    )
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=wanted)
    return [other for other in found if other.id != run.id and other.state_name != SKIPPED]
