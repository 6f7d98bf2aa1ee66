"""Predicting a library with the work on its molecules sharded over Prefect workers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from unimol2_tasks.artifacts.s3 import is_s3
from unimol2_tasks.blocks import ArtifactStore
from unimol2_tasks.errors import UserError
from unimol2_tasks.stages.prediction.units import PredictUnit
from unimol2_tasks.stages.preparation.units import Unit
from unimol2_tasks.tasks import shard_runs
from unimol2_tasks.tasks.options import REPEATED
from unimol2_tasks.tasks.results import results_of
from unimol2_tasks.tasks.shards import Shard, fingerprint, prepare_shard, refuse_when_unwanted


@dataclass(frozen=True, slots=True)
class Sharding:
    """How a library is cut, and who works on the shards.

    Attributes:
        table: The library.
        smiles_column: None: guessed by its name.
        id_column: The same.
        unit_rows: Rows per unit.
        units: Units per shard.
        deployment: Of `unimol2_flows.screen.screen_shard`, as `flow/deployment`; None: tasks of this flow.
        hours: Time after which a shard counts as lost; None: it has all the time that it needs.
        tags: Of the runs of the deployment, by which they are found again; the first is this screening's.
        store: How workers reach table and workspace.
    """

    table: str
    smiles_column: str | None
    id_column: str | None
    unit_rows: int
    units: int
    deployment: str | None
    hours: float | None
    tags: tuple[str, ...]
    store: ArtifactStore | None

    def work_on(self, units: Iterable[Unit]) -> Iterator[Unit]:
        """Work on units shard by shard, wherever the flow's task runner says; in their order."""
        pending = iter(units)
        shards = list(iter(lambda: tuple(islice(pending, self.units)), ()))
        for shard, _ in zip(shards, results_of([self._submit(shard) for shard in shards]), strict=True):
            yield from shard

    def _submit(self, units: Sequence[Unit]) -> PrefectFuture[None]:
        shard = Shard(
            table=absolute(self.table),
            smiles_column=self.smiles_column,
            id_column=self.id_column,
            unit_rows=self.unit_rows,
            units={unit.number: fingerprint(unit.rows) for unit in units if isinstance(unit, PredictUnit)},
            workspace=absolute(units[0].workspace.uri),
            prepare=units[0].params,
        )
        if self.deployment is None:
            return prepare_shard.submit(shard, self.store)
        return run_shard.submit(shard, self.deployment, self.hours, self.tags, self.store)


@task(
    name="run shard",
    description="Have a worker of a deployment work on some rows of a library.",
    task_run_name="{shard.name} on {deployment}",
    tags=["unimol2", "predict"],
    cache_policy=NO_CACHE,
    persist_result=False,
    **REPEATED,
)
def run_shard(
    shard: Shard, deployment: str, hours: float | None, tags: tuple[str, ...], store: ArtifactStore | None
) -> None:
    """Run a deployment for a shard, and wait for its end.

    Another attempt goes on with the run of the one before, if that is not lost itself.

    Raises:
        LostWorker: The run crashed or was cancelled, or did not end within `hours`.
        UserError: The run failed, or `store` is not a saved block.
        RuntimeError: The screening was interrupted, and the run with it, or another shard has failed.
    """
    refuse_when_unwanted(shard)
    parameters = {"shard": shard.model_dump(mode="json"), "store": saved(store)}
    shard_runs.follow(shard_runs.start(deployment, shard.name, parameters, tags), hours)


def absolute(address: str) -> str:
    """The address as processes in other folders need it."""
    return address if is_s3(address) else str(Path(address).absolute())


def saved(store: ArtifactStore | None) -> dict[str, Any] | None:
    """A block as a parameter that holds no secret: a reference to the saved one.

    Raises:
        UserError: It was not saved.
    """
    if store is None:
        return None
    if store._block_document_id is None:
        raise UserError(
            "the artifact store is not saved, and workers get a reference to it: store.save(NAME)"
        )
    return {"$ref": {"block_document_id": str(store._block_document_id)}}
