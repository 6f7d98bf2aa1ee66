"""The reject ledger: every input row that is not in the output, and why."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import polars as pl

from unimol2_tasks.artifacts.schemas import REJECTS, validate
from unimol2_tasks.chemistry.rejection import RejectionStage
from unimol2_tasks.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Reject:
    """One row of the ledger."""

    row: int
    """The data row of the input, from 1."""
    input: str
    """Its text, as far as it could be read."""
    stage: RejectionStage
    reason: str


def write_ledger(path: Path, rejects: Iterable[Reject]) -> None:
    """Write `row,input,stage,reason` in the order of the rows, also where there is none."""
    schema = {"row": pl.UInt64, "input": pl.String, "stage": pl.String, "reason": pl.String}
    ordered = sorted(rejects, key=lambda reject: reject.row)
    frame = pl.DataFrame([astuple(reject) for reject in ordered], schema=schema, orient="row")
    validate(frame, REJECTS, path.name).write_csv(path)


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
    return [Reject(*values) for values in validate(texts, REJECTS, str(path)).rows()]
