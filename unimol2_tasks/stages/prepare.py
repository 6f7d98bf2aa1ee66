"""From a table of molecules to a dataset."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from unimol2_tasks.artifacts.manifest import ArtifactRef, Rows
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.chemistry.pool import map_molecules
from unimol2_tasks.chemistry.preparation import identify, prepare_molecule
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.splits import SPLITS, Split, assign_splits
from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.duplicates import merge_duplicates
from unimol2_tasks.datasets.ledger import Reject, write_ledger
from unimol2_tasks.datasets.readers import InputRow, Table, read_table
from unimol2_tasks.datasets.shards import MoleculeRecord, ShardWriter, write_splits
from unimol2_tasks.datasets.statistics import DatasetStatistics
from unimol2_tasks.errors import TableError
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.progress import report

_LOGGER = logging.getLogger(__name__)
_SHOWN_REASONS = 3


@dataclass(frozen=True, slots=True)
class PrepareInputs:
    """The table, and what a person said about its columns."""

    table: str
    """A path or `s3://…`; see `datasets.readers.read_table`."""
    smiles_column: str | None = None
    id_column: str | None = None
    label_columns: tuple[str, ...] | None = None
    """None: every other column whose values are numbers."""


@dataclass(frozen=True, slots=True)
class _Molecules:
    """What the first pass over the table leaves: one row per molecule, and everything else rejected."""

    rows: list[InputRow]
    rejects: list[Reject]
    conflicts: int
    rows_in: int


def run(params: PrepareParams, inputs: PrepareInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Make a dataset: standardised molecules with conformers, splits and a reject ledger.

    The result depends on the table's bytes, the parameters and the code alone; an artifact at `out` that was
    made from the same is returned as it is.

    Raises:
        TableError: The table cannot be read, or none of its rows is a usable molecule.
        ArtifactError: Something else is at `out`.
    """
    recipe = _recipe(params, inputs, store)
    found = store.find(recipe, out)
    if found is not None:
        _LOGGER.info("%s: already made from this table and these parameters", out)
        return found
    started = time.monotonic()
    choice = ColumnChoice(inputs.smiles_column, inputs.id_column, inputs.label_columns)
    table = read_table(inputs.table, choice, store)
    molecules = _identify(table, params)
    with store.draft(out) as draft:
        rows = _write_dataset(draft, table, molecules, params)
        return store.publish(draft, out, recipe, rows, {"seconds": round(time.monotonic() - started, 3)})


def _recipe(params: PrepareParams, inputs: PrepareInputs, store: Store) -> Recipe:
    # The number of workers changes how long it takes, not what comes out.
    settings = params.model_dump(mode="json", exclude={"workers"})
    columns = {key: value for key, value in asdict(inputs).items() if key != "table"}
    return Recipe("dataset", settings | {"columns": columns}, {"table": store.digest(inputs.table)})


def _identify(table: Table, params: PrepareParams) -> _Molecules:
    """Read all rows, standardise them and merge duplicates."""
    rows: list[InputRow] = []
    rejects: list[Reject] = []
    for row in table.rows():
        if isinstance(row, Reject):
            rejects.append(row)
        else:
            rows.append(row)
    rows_in = len(rows) + len(rejects)
    identified: list[tuple[InputRow, str]] = []
    outcomes = map_molecules(
        partial(identify, params=params),
        [row.smiles for row in rows],
        workers=params.workers,
        timeout=params.conformer_timeout,
        stage="standardise",
    )
    with closing(outcomes):
        for done, (row, outcome) in enumerate(zip(rows, outcomes, strict=True), start=1):
            if isinstance(outcome.result, Rejected):
                rejects.append(_reject(row, outcome.result))
            else:
                identified.append((row, outcome.result.inchikey))
            report("standardise", done, len(rows))
    merged = merge_duplicates(identified, params.duplicate_labels)
    if merged.conflicts:
        _LOGGER.warning(
            "%s: molecules whose duplicates disagree on a label: %d; kept: their %s",
            table.uri,
            merged.conflicts,
            params.duplicate_labels,
        )
    return _Molecules(merged.rows, rejects + merged.duplicates, merged.conflicts, rows_in)


def _write_dataset(draft: Path, table: Table, molecules: _Molecules, params: PrepareParams) -> Rows:
    rejects = list(molecules.rejects)
    statistics = DatasetStatistics(table.label_names)
    with ShardWriter(draft, params.shard_rows, table.label_names) as shards:
        for result in _prepare(molecules.rows, params):
            if isinstance(result, Reject):
                rejects.append(result)
                continue
            shards.write(result)
            statistics.add(result)
        if not shards.rows:
            raise TableError(_nothing_left(table.uri, rejects))
    splits = assign_splits(
        params.split, statistics.scaffolds, params.valid_fraction, params.test_fraction, params.seed
    )
    _warn_of_empty_splits(splits, params)
    write_splits(draft, statistics.ids, splits)
    write_ledger(draft / "rejects.csv", rejects)
    summary = statistics.summary(splits, rejects, molecules.conflicts)
    (draft / "statistics.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    _LOGGER.info(
        "%s: %d rows, %d molecules, %d rejects", table.uri, molecules.rows_in, shards.rows, len(rejects)
    )
    return Rows.model_validate({"in": molecules.rows_in, "out": shards.rows, "rejects": len(rejects)})


def _prepare(rows: list[InputRow], params: PrepareParams) -> Iterator[MoleculeRecord | Reject]:
    outcomes = map_molecules(
        partial(prepare_molecule, params=params),
        [row.smiles for row in rows],
        workers=params.workers,
        timeout=params.conformer_timeout,
        stage="conformers",
    )
    with closing(outcomes):
        for done, (row, outcome) in enumerate(zip(rows, outcomes, strict=True), start=1):
            if isinstance(outcome.result, Rejected):
                yield _reject(row, outcome.result)
            else:
                yield MoleculeRecord.of(outcome.result, row.row, row.id, row.labels)
            report("conformers", done, len(rows))


def _reject(row: InputRow, rejected: Rejected) -> Reject:
    return Reject(row.row, row.smiles, rejected.stage, rejected.reason)


def _nothing_left(uri: str, rejects: list[Reject]) -> str:
    first = sorted(rejects, key=lambda reject: reject.row)[:_SHOWN_REASONS]
    reasons = "; ".join(f"row {reject.row} ({reject.input:.60}): {reject.reason}" for reject in first)
    return f"{uri}: no molecule of {len(rejects)} rows could be used; the first reasons: {reasons}"


def _warn_of_empty_splits(splits: Sequence[Split], params: PrepareParams) -> None:
    wanted = {"train": 1.0, "valid": params.valid_fraction, "test": params.test_fraction}
    empty = [split for split in SPLITS if wanted[split] and split not in splits]
    if empty:
        _LOGGER.warning(
            "no molecule is left for: %s; use more molecules or prepare.split=random", ", ".join(empty)
        )
