"""The passes of the preparation over all rows: standardise, merge duplicates, build.

Each keeps little in memory and leaves finished files in a workspace, which say what need not be done again.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice

import pyarrow.parquet as pq

from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.datasets.duplicates import DuplicateCounts, DuplicateRule, deduplicate
from unimol2_tasks.datasets.readers import Table
from unimol2_tasks.errors import TableError
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.progress import report
from unimol2_tasks.stages.preparation.units import (
    KEPT,
    BuildUnit,
    IdentifyUnit,
    WorkOn,
    built_name,
    failed_name,
    identified_name,
)

DUPLICATES = "duplicates.parquet"
"""The rows that deduplication merged or dropped, with reasons."""

_LOGGER = logging.getLogger(__name__)
_IDENTIFIED = "identified.json"
_DEDUPLICATED = "deduplicated.json"


def _memory_limit(rows: int) -> str:
    """What DuckDB may hold before it writes to the disk: 50 bytes per row, within 96 MiB and 8 GiB."""
    return f"{min(max(96, rows // 20_000), 8192)}MiB"


@dataclass(frozen=True, slots=True)
class Units:
    """What the first pass leaves."""

    number: int
    rows: int


@dataclass(frozen=True, slots=True)
class Passes:
    """The passes over all rows, each of them done where its files say so."""

    params: PrepareParams
    table: Table
    workspace: Workspace
    work_on: WorkOn

    def identify(self) -> Units:
        """Read all rows and bring their molecules into standard form."""
        finished = self.workspace.finished()
        if _IDENTIFIED in finished:
            return Units(**json.loads(self.workspace.path(_IDENTIFIED).read_text(encoding="utf-8")))
        seen = Counter[str]()
        done = 0
        for unit in self.work_on(self._unidentified(finished, seen)):
            assert isinstance(unit, IdentifyUnit)  # noqa: S101 - what goes in comes out
            done += len(unit.rows)
            report("standardise", done)
        units = Units(seen["units"], seen["rows"])
        report("standardise", units.rows, units.rows)
        with self.workspace.new(_IDENTIFIED) as path:
            path.write_text(json.dumps(asdict(units)), encoding="utf-8")
        return units

    def _unidentified(self, finished: set[str], seen: Counter[str]) -> Iterator[IdentifyUnit]:
        remaining = self.table.rows()
        batches = iter(lambda: tuple(islice(remaining, self.params.unit_rows)), ())
        for number, rows in enumerate(batches):
            seen.update(units=1, rows=len(rows))
            if identified_name(number) not in finished:
                yield IdentifyUnit(number, self.workspace, self.params, self.table.label_names, rows)

    def deduplicate(self, units: Units) -> DuplicateCounts:
        """Merge the rows that mean the same molecule."""
        if _DEDUPLICATED in self.workspace.finished():
            text = self.workspace.path(_DEDUPLICATED).read_text(encoding="utf-8")
            return DuplicateCounts(**json.loads(text))
        rule = DuplicateRule(
            self.params.duplicates, self.params.duplicate_labels, self.params.label_tolerance
        )
        identified = [self.workspace.path(identified_name(number)) for number in range(units.number)]
        limit = _memory_limit(units.rows)
        with self.workspace.new(KEPT) as kept, self.workspace.new(DUPLICATES) as rejected:
            try:
                counts = deduplicate(
                    identified,
                    kept,
                    rejected,
                    rule,
                    self.table.label_names,
                    temporary=kept.parent,
                    memory_limit=limit,
                )
            except TableError as error:
                raise TableError(f"{self.table.uri}: {error}") from None
        if counts.conflicts:
            _LOGGER.warning(
                "%s: molecules whose duplicates disagree on a label: %d; duplicate_labels: %s",
                self.table.uri,
                counts.conflicts,
                self.params.duplicate_labels,
            )
        with self.workspace.new(_DEDUPLICATED) as path:
            path.write_text(json.dumps(asdict(counts)), encoding="utf-8")
        return counts

    def build(self, units: int, molecules: int) -> None:
        """Make conformers and features of every molecule."""
        finished = self.workspace.finished()
        pending = (
            BuildUnit(number, self.workspace, self.params, self.table.label_names)
            for number in range(units)
            if built_name(number) not in finished
        )
        done = sum(self._built_rows(number) for number in range(units) if built_name(number) in finished)
        for unit in self.work_on(pending):
            done += self._built_rows(unit.number)
            report("conformers", done, molecules)

    def _built_rows(self, unit: int) -> int:
        files = (built_name(unit), failed_name(unit))
        return sum(pq.read_metadata(self.workspace.path(name)).num_rows for name in files)
