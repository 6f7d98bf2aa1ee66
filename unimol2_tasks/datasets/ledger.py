"""The reject ledger: every input row that is not in the output, and why."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl

from unimol2_tasks.artifacts.schemas import REJECTS, validate
from unimol2_tasks.artifacts.spreadsheets import guarded, unguarded
from unimol2_tasks.chemistry.rejection import RejectionStage
from unimol2_tasks.errors import ArtifactError

_SCHEMA = {"row": pl.UInt64, "input": pl.String, "stage": pl.String, "reason": pl.String}


@dataclass(frozen=True, slots=True)
class Reject:
    """One row of the ledger."""

    row: int
    """The data row of the input, from 1."""
    input: str
    """Its text, as far as it could be read."""
    stage: RejectionStage
    reason: str


def rejects_frame(rejects: Iterable[Reject]) -> pl.DataFrame:
    """Rejects as a table, also where there is none."""
    return pl.DataFrame([astuple(reject) for reject in rejects], schema=_SCHEMA, orient="row")


class LedgerWriter:
    """Writes `row,input,stage,reason` in the order of the rows; the header also where no row follows.

    An `input` that a spreadsheet would take for a formula gets an apostrophe in front, which `read_ledger`
    removes.

    Attributes:
        rows: How many rejects were written.
        first: The first of them, for messages.
    """

    def __init__(self, path: Path, remember: int = 0) -> None:
        """Write to `path`; keep the first `remember` rejects in `first`."""
        self.rows = 0
        self.first: list[Reject] = []
        self._remember = remember
        self._path = path
        self._last_row = 0
        self._file = path.open("wb")
        pl.DataFrame(schema=_SCHEMA).write_csv(self._file)

    def write(self, rejects: Iterable[Reject]) -> None:
        """Append rejects whose rows all come after those already written; they need not be sorted.

        Raises:
            ArtifactError: A row appears twice.
        """
        ordered = sorted(rejects, key=lambda reject: reject.row)
        if not ordered:
            return
        if ordered[0].row <= self._last_row:
            raise ArtifactError(f"{self._path}: row {ordered[0].row} comes after row {self._last_row}")
        frame = validate(rejects_frame(ordered), REJECTS, self._path.name)
        frame.with_columns(guarded(pl.col("input"))).write_csv(self._file, include_header=False)
        self.first += ordered[: max(self._remember - len(self.first), 0)]
        self._last_row = ordered[-1].row
        self.rows += len(ordered)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_ledger(path: Path) -> list[Reject]:
    """The rows of a ledger.

    Raises:
        ArtifactError: The file is missing, or has other columns or values than a ledger.
    """
    try:
        frame = pl.read_csv(path, schema_overrides={"row": pl.UInt64}, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ArtifactError(f"{path}: no reject ledger: {error}") from None
    texts = frame.with_columns(pl.col(pl.String).fill_null(""))
    rows = validate(texts, REJECTS, str(path)).with_columns(unguarded(pl.col("input")))
    return [Reject(*values) for values in rows.rows()]
