"""The dataset's files, from what the passes of the preparation left."""

import logging
from collections import Counter
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from unimol2_tasks.artifacts.manifest import Rows
from unimol2_tasks.artifacts.schemas import LABEL_PREFIX
from unimol2_tasks.chemistry.given_splits import read_split_file
from unimol2_tasks.chemistry.leakage import leakage_report
from unimol2_tasks.chemistry.splits import assign_splits
from unimol2_tasks.datasets.duplicates import DuplicateCounts
from unimol2_tasks.datasets.ledger import LedgerWriter, Reject
from unimol2_tasks.datasets.shards import ShardWriter, write_splits
from unimol2_tasks.datasets.statistics import Origin, summarise, write_statistics
from unimol2_tasks.errors import TableError
from unimol2_tasks.progress import report
from unimol2_tasks.stages.preparation.passes import DUPLICATES, Passes, Units
from unimol2_tasks.stages.preparation.units import KEPT, built_name, failed_name, identified_name

_LOGGER = logging.getLogger(__name__)
_SHOWN_REASONS = 3


class Assembly:
    """Writes the dataset from what the passes left, unit by unit."""

    def __init__(self, draft: Path, passes: Passes, units: Units, counts: DuplicateCounts) -> None:
        self._draft = draft
        self._passes = passes
        self._units = units
        self._counts = counts
        self._changes = Counter[str]()
        self._molecules: list[pl.DataFrame] = []

    def write(self) -> Rows:
        """Write every file of the dataset but the manifest.

        Raises:
            TableError: No molecule is left, or the wanted splits are impossible.
        """
        table, params = self._passes.table, self._passes.params
        rows_in = 0
        with (
            LedgerWriter(self._draft / "rejects.csv", _SHOWN_REASONS) as ledger,
            ShardWriter(self._draft, params.shard_rows, table.label_names) as shards,
        ):
            for number in range(self._units.number):
                rows_in += self._write_unit(number, shards, ledger)
                report("write", rows_in, self._units.rows)
            if not shards.rows:
                raise TableError(_nothing_left(table.uri, ledger))
        self._write_splits_and_statistics(rows_in)
        _LOGGER.info("%s: %d rows, %d molecules, %d rejects", table.uri, rows_in, shards.rows, ledger.rows)
        return Rows.model_validate({"in": rows_in, "out": shards.rows, "rejects": ledger.rows})

    def _write_unit(self, number: int, shards: ShardWriter, ledger: LedgerWriter) -> int:
        path = self._passes.workspace.path
        identified = pl.read_parquet(path(identified_name(number)))
        own = pl.col("row").is_between(identified["row"][0], identified["row"][-1])
        built = pq.read_table(path(built_name(number)))
        shards.write_table(built)
        self._remember(built, identified, pl.scan_parquet(path(KEPT)).filter(own).collect())
        rejected = [
            identified.filter(pl.col("reason").is_not_null()),
            pl.scan_parquet(path(DUPLICATES)).filter(own).collect(),
            pl.read_parquet(path(failed_name(number))),
        ]
        columns = ("row", "input", "stage", "reason")
        ledger.write(Reject(*values) for frame in rejected for values in frame.select(columns).rows())
        return identified.height

    def _remember(self, built: pa.Table, identified: pl.DataFrame, kept: pl.DataFrame) -> None:
        """Keep what splits and statistics need of the molecules of one unit."""
        labels = [name for name in built.column_names if name.startswith(LABEL_PREFIX)]
        molecules = pl.from_arrow(built.select(["row", "id", "smiles", "inchikey", "scaffold", *labels]))
        assert isinstance(molecules, pl.DataFrame)  # noqa: S101 - a table never becomes a series
        changes = molecules.join(identified, on="row")["changes"]
        self._changes.update(changes.explode().drop_nulls().to_list())
        splits = kept.select("row", "split")
        self._molecules.append(molecules.join(splits, on="row", how="left", maintain_order="left"))

    def _write_splits_and_statistics(self, rows_in: int) -> None:
        table, params = self._passes.table, self._passes.params
        molecules = pl.concat(self._molecules)
        given = None
        if params.split_file is not None:
            with self._passes.workspace.store.open(params.split_file) as stream:
                given = read_split_file(stream, params.split_file)
        assignment = assign_splits(molecules, params, given)
        folds = None if assignment.folds is None else pl.Series(assignment.folds)
        write_splits(self._draft, molecules["id"], assignment.splits, folds)
        leakage = leakage_report(molecules, assignment.splits, params.seed)
        origin = Origin(
            table=_name(table.uri),
            sources=tuple(_name(file) for file in table.files),
            rows_in=rows_in,
            changes=dict(self._changes),
            duplicates=self._counts.duplicates,
            conflicts=self._counts.conflicts,
        )
        write_statistics(self._draft, summarise(self._draft, origin, leakage))


def _name(uri: str) -> str:
    """The last part of an address: where a table lies is no property of the dataset."""
    return uri.rstrip("/").rpartition("/")[2]


def _nothing_left(uri: str, ledger: LedgerWriter) -> str:
    reasons = "; ".join(f"row {reject.row} ({reject.input:.60}): {reject.reason}" for reject in ledger.first)
    return f"{uri}: no molecule of {ledger.rows} rows could be used; the first reasons: {reasons}"
