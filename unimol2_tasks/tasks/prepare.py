"""The tasks that prepare molecules."""

from collections import deque
from collections.abc import Iterable, Iterator

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, place, store_of
from unimol2_tasks.params import Params
from unimol2_tasks.prefect_progress import progress_artifacts
from unimol2_tasks.stages import prepare
from unimol2_tasks.stages.preparation.units import Unit, work_here
from unimol2_tasks.task_cache import remembered
from unimol2_tasks.tasks.artifacts import fetch
from unimol2_tasks.tasks.assets import materialised
from unimol2_tasks.tasks.options import REPEATED, STEP
from unimol2_tasks.tasks.shown import show_dataset

_UNITS_IN_FLIGHT = 256
"""Units that are submitted ahead: enough for a cluster, and few enough that their rows fit in memory."""


@task(
    name="prepare dataset",
    description="Turn a table of molecules into a validated dataset with conformers.",
    task_run_name="prepare {table} into {out}",
    tags=["unimol2", "prepare"],
    **STEP,
)
def prepare_dataset(
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    id_column: str | None = None,
    label_columns: list[str] | None = None,
    store: ArtifactStore | None = None,
    rev: str | None = None,
) -> ArtifactRef:
    """Turn a table of molecules (CSV, TSV, SMILES; file or `s3://`) into a dataset.

    Columns that are not named are guessed where that is unambiguous. With `rev` the table is read as of that
    Git revision of the repository that holds it, be it kept by Git or by DVC.

    Raises:
        UserError: The table, a column or the revision is missing, or no molecule could be used.
    """
    labels = None if label_columns is None else tuple(label_columns)
    inputs = prepare.PrepareInputs(table, smiles_column, id_column, labels, rev)
    with progress_artifacts():
        ref = prepare.run(params.prepare, inputs, place(out, store), store_of(store))
    _show(ref, table, store)
    return remembered(ref)


@task(
    name="record dataset",
    description="Show a dataset that a flow made by itself, and from what it was made.",
    task_run_name="record {ref.uri}",
    tags=["unimol2", "prepare"],
    cache_policy=NO_CACHE,
    persist_result=False,
    **REPEATED,
)
def record_dataset(ref: ArtifactRef, table: str, store: ArtifactStore | None = None) -> None:
    """Show a dataset that a flow made by itself, and from what it was made."""
    _show(ref, table, store)


def _show(ref: ArtifactRef, table: str, store: ArtifactStore | None) -> None:
    dataset = fetch(ref, store)
    show_dataset(dataset)
    materialised(ref, dataset.manifest, {"table": table})


@task(
    name="prepare unit",
    description="Work on one unit of a preparation or prediction.",
    task_run_name="{unit.stage} unit {unit.number}",
    tags=["unimol2", "prepare"],
    cache_policy=NO_CACHE,
    persist_result=False,
    **REPEATED,
)
def prepare_unit(unit: Unit) -> None:
    """Work on one unit of a preparation or prediction that is shared out over the flow's task runner."""
    for _ in work_here([unit], workers=1):
        pass


def on_task_runner(units: Iterable[Unit]) -> Iterator[Unit]:
    """Work on units wherever the flow's task runner says; for `work_on` of `stages.prepare` and `predict`."""
    waiting: deque[tuple[Unit, PrefectFuture[None]]] = deque()
    for unit in units:
        waiting.append((unit, prepare_unit.submit(unit)))
        if len(waiting) >= _UNITS_IN_FLIGHT:
            yield _done(*waiting.popleft())
    while waiting:
        yield _done(*waiting.popleft())


def _done(unit: Unit, future: "PrefectFuture[None]") -> Unit:
    future.result()
    return unit
