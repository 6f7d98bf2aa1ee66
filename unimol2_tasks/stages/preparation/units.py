"""Units of work of the preparation: so many rows of the table, one or two files in the workspace.

A unit is all that another process or machine needs to know; where its files are there, it is done.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from unimol2_tasks.artifacts.schemas import LABEL_PREFIX
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.chemistry.pool import map_molecules
from unimol2_tasks.chemistry.preparation import Identity, PreparedMolecule, build_molecule, identify
from unimol2_tasks.chemistry.rejection import Rejected, RejectionStage
from unimol2_tasks.datasets.identified import identified_row, identity, unreadable_row, write_identified
from unimol2_tasks.datasets.ledger import Reject, rejects_frame
from unimol2_tasks.datasets.records import MoleculeRecord, arrow_schema, encode
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.params import PrepareParams

KEPT = "kept.parquet"
"""The rows that deduplication keeps, with their merged labels."""


@dataclass(frozen=True, slots=True)
class Unit(ABC):
    """Some rows, and what to do with them."""

    number: int
    workspace: Workspace
    params: PrepareParams
    label_names: tuple[str, ...]

    stage: ClassVar[RejectionStage]
    """The stage of rejections for time and crashes."""

    @property
    @abstractmethod
    def function(self) -> Callable[[Any], Any]:
        """What happens to each molecule, in a worker process."""

    @abstractmethod
    def molecules(self) -> list[Any]:
        """What `function` gets."""

    @abstractmethod
    def write(self, results: list[Any]) -> None:
        """Store what `function` returned, or the `Rejected` it raised, for every molecule."""


@dataclass(frozen=True, slots=True)
class IdentifyUnit(Unit):
    """Rows of the table become molecules in standard form."""

    rows: tuple[InputRow | Reject, ...]

    stage = "standardise"

    @property
    def function(self) -> Callable[[Any], Identity]:
        """Standardisation."""
        return partial(identify, params=self.params)

    def molecules(self) -> list[Any]:
        """The structures of the rows that could be read."""
        return [row.structure for row in self.rows if isinstance(row, InputRow)]

    def write(self, results: list[Identity | Rejected]) -> None:
        """Store every row, whatever became of it."""
        remaining = iter(results)
        rows = [
            unreadable_row(row)
            if isinstance(row, Reject)
            else identified_row(row, next(remaining), self.label_names)
            for row in self.rows
        ]
        with self.workspace.new(identified_name(self.number)) as path:
            write_identified(path, rows, self.label_names)


@dataclass(frozen=True, slots=True)
class BuildUnit(Unit):
    """The rows that deduplication kept get their conformers and features."""

    stage = "conformers"

    @property
    def function(self) -> Callable[[Any], PreparedMolecule]:
        """Conformers and features."""
        return partial(build_molecule, params=self.params)

    def molecules(self) -> list[Identity]:
        """The molecules that are kept."""
        return [identity(row) for row in self._kept().iter_rows(named=True)]

    def write(self, results: list[PreparedMolecule | Rejected]) -> None:
        """Store the molecules in the columns of a shard, and the failures apart."""
        molecules: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for row, result in zip(self._kept().iter_rows(named=True), results, strict=True):
            if isinstance(result, Rejected):
                rejects.append(Reject(row["row"], row["input"], result.stage, result.reason))
                continue
            labels = tuple(row[LABEL_PREFIX + name] for name in self.label_names)
            record = MoleculeRecord.of(result, row["row"], row["id"], labels)
            molecules.append(encode(record, self.label_names))
        with self.workspace.new(failed_name(self.number)) as path:
            rejects_frame(rejects).write_parquet(path)
        # Last: its presence says that the unit is done.
        with self.workspace.new(built_name(self.number)) as path:
            table = pa.Table.from_pylist(molecules, schema=arrow_schema(self.label_names))
            pq.write_table(table, path, compression="zstd")

    def _kept(self) -> pl.DataFrame:
        """The unit's identified rows that are kept, with merged labels."""
        identified = pl.read_parquet(self.workspace.path(identified_name(self.number)))
        own = identified.drop(pl.selectors.starts_with(LABEL_PREFIX), "split")
        first, last = identified["row"][0], identified["row"][-1]
        kept = pl.scan_parquet(self.workspace.path(KEPT)).filter(pl.col("row").is_between(first, last))
        return own.join(kept.collect(), on="row", how="inner", maintain_order="left")


WorkOn = Callable[[Iterable[Unit]], Iterator[Unit]]
"""Works on every unit and yields those that are done, in order."""


def work_here(units: Iterable[Unit], workers: int | None) -> Iterator[Unit]:
    """Work on units of one kind in processes of this machine.

    The molecules of all units pass through one pool, so that no process waits at the end of a unit.

    Args:
        units: Taken as they are needed.
        workers: Processes; None: one per core that this process may use.
    """
    pending = iter(units)
    first = next(pending, None)
    if first is None:
        return
    waiting: deque[tuple[Unit, int]] = deque()

    def molecules() -> Iterator[Any]:
        unit: Unit | None = first
        while unit is not None:
            found = unit.molecules()
            waiting.append((unit, len(found)))
            yield from found
            unit = next(pending, None)

    outcomes = map_molecules(
        first.function,
        molecules(),
        workers=workers,
        timeout=first.params.conformer_timeout,
        stage=first.stage,
    )
    results: list[Any] = []
    with closing(outcomes):
        for outcome in outcomes:
            # Units without a molecule end as soon as their turn comes.
            while not waiting[0][1]:
                yield _finished(waiting.popleft()[0], [])
            results.append(outcome.result)
            if len(results) == waiting[0][1]:
                yield _finished(waiting.popleft()[0], results)
                results = []
        while waiting:
            yield _finished(waiting.popleft()[0], [])


def _finished(unit: Unit, results: list[Any]) -> Unit:
    unit.write(results)
    return unit


def identified_name(number: int) -> str:
    """The file with a unit's standardised rows."""
    return f"identified/unit-{number:08d}.parquet"


def built_name(number: int) -> str:
    """The file with a unit's molecules, ready for a shard."""
    return f"built/unit-{number:08d}.parquet"


def failed_name(number: int) -> str:
    """The file with a unit's rows that got no structure."""
    return f"failed/unit-{number:08d}.parquet"
