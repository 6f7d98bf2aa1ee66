"""The passes of a prediction over a table: prepare, infer, write, in units of rows.

All units of a round are prepared before one inference job works through them, so that the machine that
prepares and the one that has the GPU need not be the same, and a network is loaded once. A round is so large
that its start does not count, and so small that the conformers of a table of any length fit on the disk.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pandera.polars import DataFrameSchema

from unimol2_tasks.artifacts.manifest import Rows
from unimol2_tasks.artifacts.schemas import validate
from unimol2_tasks.artifacts.streamed_tables import write_pieces
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.readers import Table, table_digest
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import TableError
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.progress import report
from unimol2_tasks.stages.prediction.network import infer_files, values_path
from unimol2_tasks.stages.prediction.units import (
    PredictUnit,
    molecules_name,
    read_rows,
    rows_name,
    unit_stem,
)
from unimol2_tasks.stages.preparation.units import WorkOn
from unimol2_tasks.training.inference_job import VALUES, values_file
from unimol2_tasks.training.job import Job

_LOGGER = logging.getLogger(__name__)
_UNITS_PER_ROUND = 256
"""As many as a cluster has in flight: of 2,048 drug-like molecules each, about 2 GB."""


class OutputColumns(Protocol):
    """Makes the table of what was computed."""

    @property
    def schema(self) -> DataFrameSchema:
        """Of the table."""

    @property
    def types(self) -> dict[str, pl.DataType]:
        """Names and types of its columns, in order."""

    def pieces(self, rows: pl.DataFrame, values: NDArray[Any] | None) -> Iterator[pl.DataFrame]:
        """The table of some rows of the input and the values of those that are molecules, None for none."""


@dataclass(frozen=True, slots=True)
class PredictionPasses:
    """One prediction's work; each part of it is done where its files say so."""

    table: Table
    digest: str
    """Of the table's content when the prediction began."""
    prepare: PrepareParams
    job: Job
    """What is computed; its `dataset` is set for each round."""
    columns: OutputColumns
    workspace: Workspace
    work_on: WorkOn
    folder: Path
    """Of this machine, for the inference runs."""

    @property
    def unit_rows(self) -> int:
        """Rows per unit."""
        return self.job.params.predict.unit_rows

    def run(self, target: Path) -> Rows:
        """Predict the whole table into a `.csv` or `.parquet` file.

        Raises:
            UserError: The table cannot be read or changed since the prediction began, or the inference job
                refused something.
            TrainingFailed: Inference ended without a result.
        """
        # Before hours of work: what is damaged shows, and progress knows where the end is.
        rows = sum(1 for _ in self.table.rows())
        units = -(-rows // self.unit_rows)
        batches = _batches(self.table, self.unit_rows)
        for first in range(0, units, _UNITS_PER_ROUND):
            numbers = range(first, min(first + _UNITS_PER_ROUND, units))
            self._prepare(islice(batches, len(numbers)), rows)
            if numbers.stop == units:
                self._refuse_changed()
            self._infer(numbers)
        return self._write(target, units, rows)

    def _refuse_changed(self) -> None:
        """After the last row was read: what is published says of which content it is."""
        if table_digest(self.table.uri, self.table.store) != self.digest:
            raise TableError(
                f"{self.table.uri}: changed while it was predicted; start again, and leave it as it is "
                "until the end, or give a copy"
            )

    def _prepare(
        self, batches: Iterable[tuple[int, tuple[InputRow | Reject, ...]]], rows_in_all: int
    ) -> None:
        finished = self.workspace.finished()
        pending = (
            PredictUnit(number, self.workspace, self.prepare, (), rows)
            for number, rows in batches
            if rows_name(number) not in finished
        )
        for unit in self.work_on(pending):
            report("conformers", min((unit.number + 1) * self.unit_rows, rows_in_all), rows_in_all)

    def _infer(self, numbers: range) -> None:
        finished = self.workspace.finished()
        found = [number for number in numbers if molecules_name(number) in finished]
        known = [number for number in found if _values_name(number) in finished]
        for number in known:
            # Else the network would work through them again.
            self.workspace.discard(molecules_name(number))
        fresh = [number for number in found if number not in known]
        pending = [number for number in fresh if not self._own_values(number).is_file()]
        if pending:
            files = [self.workspace.path(molecules_name(number)) for number in pending]
            job = self.job.model_copy(update={"dataset": files[0].parents[1]})
            infer_files(job, job.params, self._run_folder(numbers[0]))
        for number in fresh:
            self._share(number)
            # What is known of molecules takes far more room than what the network says of them.
            self.workspace.discard(molecules_name(number))

    def _share(self, number: int) -> None:
        """Put a unit's values where whoever goes on finds them, should this machine be gone by then."""
        if self.workspace.uri == str(self.folder):
            return
        with self.workspace.new(_values_name(number)) as path:
            shutil.copyfile(self._own_values(number), path)

    def _run_folder(self, number: int) -> Path:
        return self.folder / "inference" / f"round-{number // _UNITS_PER_ROUND:05d}"

    def _own_values(self, number: int) -> Path:
        """Where this machine's inference leaves a unit's values."""
        return values_path(self._run_folder(number), unit_stem(number))

    def _values(self, number: int, finished: set[str]) -> NDArray[Any] | None:
        """Of a unit's molecules; None where it has none."""
        own, name = self._own_values(number), _values_name(number)
        if not own.is_file() and name not in finished:
            return None
        path = own if own.is_file() else self.workspace.path(name)
        values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return values

    def _write(self, target: Path, units: int, rows_in_all: int) -> Rows:
        failed: list[str] = []
        rejects = 0
        finished = self.workspace.finished()

        def pieces() -> Iterator[pl.DataFrame]:
            nonlocal rejects
            for number in range(units):
                for piece in self._unit_pieces(number, finished):
                    reasons = piece.filter(pl.col("reason").is_not_null())
                    rejects += reasons.height
                    failed.extend(reasons["reason"].head(1 - len(failed)))
                    yield piece
                report("write", min((number + 1) * self.unit_rows, rows_in_all), rows_in_all)

        write_pieces(target, self.columns.types, pieces())
        if rejects == rows_in_all:
            _LOGGER.warning(
                "%s: no molecule among %d rows%s",
                self.table.uri,
                rows_in_all,
                f"; the first: {failed[0]}" if failed else "",
            )
        return Rows(rows_in=rows_in_all, out=rows_in_all - rejects, rejects=rejects)

    def _unit_pieces(self, number: int, finished: set[str]) -> Iterator[pl.DataFrame]:
        rows = read_rows(self.workspace.path(rows_name(number)))
        for piece in self.columns.pieces(rows, self._values(number, finished)):
            yield validate(piece, self.columns.schema, f"{self.table.uri}, unit {number}")


def _values_name(number: int) -> str:
    """The file of the workspace with a unit's values."""
    return f"{VALUES}/{values_file(unit_stem(number))}"


def _batches(table: Table, size: int) -> Iterator[tuple[int, tuple[InputRow | Reject, ...]]]:
    """The rows of each unit, numbered."""
    remaining = table.rows()
    return enumerate(iter(lambda: tuple(islice(remaining, size)), ()))
