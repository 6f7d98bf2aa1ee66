"""Shards of a prediction: some of its units as plain JSON.

Whoever gets one reads the rows from the table again, and leaves molecules with conformers in a workspace that
all reach. What a lost worker has finished stays there.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict

from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.blocks import ArtifactStore, store_of
from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers import read_table
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import TableError
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages.prediction.units import PredictUnit, rows_name
from unimol2_tasks.stages.preparation.units import Unit, work_here
from unimol2_tasks.tasks.options import REPEATED
from unimol2_tasks.training.interruption import may_begin

Rows = tuple[InputRow | Reject, ...]


class Shard(BaseModel):
    """Some units of a prediction, for a worker that knows nothing else of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    smiles_column: str | None
    id_column: str | None
    unit_rows: int
    units: dict[int, str]
    """Number and fingerprint of the rows of each, in order."""
    workspace: str
    prepare: PrepareParams

    @property
    def name(self) -> str:
        """Of its run: the rows of the table, from 1."""
        first, last = min(self.units), max(self.units)
        return f"rows {first * self.unit_rows + 1} to {(last + 1) * self.unit_rows}"


@task(
    name="prepare shard",
    description="Work on the molecules of some rows of a library.",
    task_run_name="{shard.name}",
    tags=["unimol2", "predict"],
    cache_policy=NO_CACHE,
    persist_result=False,
    **REPEATED,
)
def prepare_shard(shard: Shard, store: ArtifactStore | None = None) -> None:
    """Work on the units of a shard that are not finished.

    Raises:
        UserError: The table cannot be read, or was changed since the screening began.
        RuntimeError: Another shard of this process has failed.
    """
    refuse_when_unwanted(shard)
    workspace = Workspace(shard.workspace, store_of(store))
    for _ in work_here(pending_units(shard, workspace), shard.prepare.workers):
        pass


def refuse_when_unwanted(shard: Shard) -> None:
    """Begin nothing of a screening that is to end.

    Raises:
        RuntimeError: The screening was interrupted, or another of its shards has failed.
    """
    if not may_begin():
        raise RuntimeError(f"{shard.name}: not begun, for the screening has been ended")


def pending_units(shard: Shard, workspace: Workspace) -> Iterator[Unit]:
    """The units of a shard that are not finished, with their rows.

    Raises:
        UserError: The table cannot be read, or its rows are not those of the shard.
    """
    finished = workspace.finished()
    choice = ColumnChoice(smiles=shard.smiles_column, id=shard.id_column, labels=())
    remaining = read_table(shard.table, choice, workspace.store).rows()
    position = 0
    for number, expected in shard.units.items():
        start = number * shard.unit_rows
        rows: Rows = tuple(islice(remaining, start - position, start - position + shard.unit_rows))
        position = start + len(rows)
        if fingerprint(rows) != expected:
            raise TableError(
                f"{shard.table}: rows {start + 1} to {position} differ from those that the screening began "
                "with; leave the table as it is until the end, or start again"
            )
        if rows_name(number) not in finished:
            yield PredictUnit(number, workspace, shard.prepare, (), rows)


def fingerprint(rows: Rows) -> str:
    """What tells rows of a table from others: number, name and text."""
    digest = hashlib.sha256()
    for row in rows:
        if isinstance(row, Reject):
            text = f"{row.row}\t{row.input}\t{row.reason}\n"
        else:
            text = f"{row.row}\t{row.id}\t{row.structure.smiles}\t{row.structure.mol_block or ''}\n"
        digest.update(text.encode())
    return digest.hexdigest()[:16]
