"""Runs that a schedule makes: what is done is not done again, and new data get a folder of their own."""

from collections.abc import Collection
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
from unimol2_tasks.stages import prepare
from unimol2_tasks.training.continuation import determining
from unimol2_tasks.versions import code_version

SKIPPED = "Skipped"
KEY = "{key}"
SECTIONS = ("prepare", "model", "pretrain", "finetune", "evaluate", "predict")
"""Of the parameters, those that determine artifacts of the end-to-end flow."""
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


def keyed(
    out: str,
    params: Params,
    store: ArtifactStore | None,
    *tables: str | None,
    sections: Collection[str] = SECTIONS,
    **chosen: Any,
) -> str:
    """`out` with a key of all that determines the artifacts below it in place of `{key}`.

    An artifact is never overwritten: where a table changes from run to run, each state of it needs a place of
    its own, and an unchanged one finds what was made of it.

    Args:
        out: Where artifacts go.
        params: Of which the settings of the work itself do not count: workers, threads, supervision.
        store: How tables are reached.
        tables: Tables that are read, in the order of the flow's parameters.
        sections: Those of the parameters that count.
        chosen: What else the flow was given, such as columns, as plain values.

    Raises:
        UserError: A table or the file of splits cannot be read.
    """
    if KEY not in out:
        return out
    reading = store_of(store)
    digests = {
        str(number): table_digest(table, reading) for number, table in enumerate(tables) if table is not None
    }
    if "prepare" in sections and params.prepare.split_file is not None:
        digests["splits"] = reading.digest(params.prepare.split_file)
    settings = _settings(params)
    counted = {section: settings[section] for section in sorted(sections)}
    key = fingerprint("run", {**counted, "chosen": chosen}, digests, code_version())
    return out.replace(KEY, key[:_KEY_LENGTH])


def _settings(params: Params) -> dict[str, Any]:
    """By section what manifests hold of it: another value is another artifact."""
    return {
        "prepare": prepare.determining(params.prepare),
        "model": params.model.model_dump(mode="json"),
        "pretrain": determining(params.pretrain),
        "finetune": determining(params.finetune),
        "evaluate": params.evaluate.model_dump(mode="json"),
        "predict": {"coverage": params.predict.coverage},
    }


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
