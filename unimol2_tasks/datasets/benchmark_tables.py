"""The table of a benchmark: from the upstream files of a data set to what the preparation reads."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import polars as pl

from unimol2_tasks.artifacts.manifest import Rows
from unimol2_tasks.chemistry.split_names import Split
from unimol2_tasks.datasets.benchmarks import SPLIT_COLUMN, MoleculeTable, PublishedLists
from unimol2_tasks.datasets.geometries import read_geometries
from unimol2_tasks.datasets.ledger import LedgerWriter, Reject
from unimol2_tasks.datasets.source_files import SourceFiles
from unimol2_tasks.datasets.xyz_table import replaced, write_sdf

ID_COLUMN = "benchmark_id"
SMILES_COLUMN = "benchmark_smiles"
_VALIDATION_SHARE = 0.1
"""Of a published training list."""


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """What was made of a data set."""

    path: Path
    """A `.csv` file; `.sdf` where there are published geometries."""
    source_rows: int
    """Rows that the publisher has."""
    rows: Rows
    """`in`: those that were chosen; `rejects`: those that the definition leaves out or whose geometry is no
    molecule; they are in `NAME.rejects.csv` beside the table."""
    smiles_column: str | None
    """None: the records hold structures."""


def write_table(table: MoleculeTable, files: SourceFiles, subset: int | None, out: Path) -> WrittenTable:
    """Write the rows of a benchmark with their ids, labels and, where published, splits.

    The table and its `NAME.rejects.csv` get their names once they are whole.

    Args:
        table: Of the benchmark.
        files: Of its data set.
        subset: So many rows, chosen by a hash of their ids: the same each time, whatever their order, and a
            smaller choice lies within a larger one; none: all.
        out: Without its suffix.
    """
    rows = _published(table.lists, files) if table.lists is not None else _whole(table, files.table)
    keep = _chosen(rows[ID_COLUMN].to_list(), subset)
    chosen = rows.filter(pl.Series(keep))
    if table.lists is not None:
        chosen = _with_validation(chosen)
    out.parent.mkdir(parents=True, exist_ok=True)
    if files.geometries is not None:
        path = out.with_name(f"{out.name}.sdf")
        labels = [name for name in chosen.columns if name != ID_COLUMN]
        geometries = compress(read_geometries(files.geometries), keep)
        return WrittenTable(path, rows.height, write_sdf(chosen, ID_COLUMN, labels, geometries, path), None)
    path = out.with_name(f"{out.name}.csv")
    omitted = {} if table.lists is None else table.lists.omit
    return WrittenTable(path, rows.height, _write_csv(chosen, omitted, path), SMILES_COLUMN)


def _write_csv(rows: pl.DataFrame, omitted: Mapping[str, str], path: Path) -> Rows:
    """Write the rows, and beside them those that are left out."""
    numbered = rows.with_row_index("row", offset=1)
    left_out = numbered.filter(pl.col(ID_COLUMN).is_in(list(omitted)))
    with replaced(path.with_suffix(".rejects.csv"), path) as (rejects, table):
        rows.filter(~pl.col(ID_COLUMN).is_in(list(omitted))).write_csv(table)
        with LedgerWriter(rejects) as ledger:
            ledger.write(
                Reject(row["row"], row[SMILES_COLUMN], "deduplicate", omitted[row[ID_COLUMN]])
                for row in left_out.iter_rows(named=True)
            )
    kept = rows.height - left_out.height
    return Rows.model_validate({"in": rows.height, "out": kept, "rejects": left_out.height})


def _whole(table: MoleculeTable, path: Path) -> pl.DataFrame:
    source = table.source
    rows = pl.read_csv(path, infer_schema=False).filter(~pl.all_horizontal(pl.all().is_null()))
    number = pl.int_range(1, pl.len() + 1).cast(pl.String)
    name = number if source.id_column is None else pl.col(source.id_column)
    smiles = [] if source.smiles_column is None else [pl.col(source.smiles_column).alias(SMILES_COLUMN)]
    labels = [target.name for target in source.targets]
    return rows.select(name.alias(ID_COLUMN), *smiles, *labels)


def _published(lists: PublishedLists, files: SourceFiles) -> pl.DataFrame:
    """Train and test molecules, as they are listed."""
    train = _listed(lists, files.extras[lists.train], "train")
    return pl.concat([train, _listed(lists, files.extras[lists.test], "test")])


def _listed(lists: PublishedLists, path: Path, split: Split) -> pl.DataFrame:
    rows = pl.read_csv(path, infer_schema=False)
    return rows.select(
        pl.format("{}-{}", pl.lit(split), pl.int_range(1, pl.len() + 1)).alias(ID_COLUMN),
        pl.col(lists.smiles).alias(SMILES_COLUMN),
        *(pl.col(column).alias(target) for column, target in lists.labels.items()),
        pl.lit(split).alias(SPLIT_COLUMN),
    )


def _with_validation(rows: pl.DataFrame) -> pl.DataFrame:
    """A tenth of the training molecules validates, chosen by a hash."""
    train = rows.filter(pl.col(SPLIT_COLUMN) == "train")[ID_COLUMN].to_list()
    chosen = list(compress(train, _chosen(train, round(_VALIDATION_SHARE * len(train)), "valid")))
    validates = pl.col(ID_COLUMN).is_in(chosen)
    return rows.with_columns(
        pl.when(validates).then(pl.lit("valid")).otherwise(SPLIT_COLUMN).alias(SPLIT_COLUMN)
    )


def _chosen(ids: list[str], count: int | None, purpose: str = "subset") -> list[bool]:
    """Whether each is among the `count` smallest by hash."""
    if count is None or count >= len(ids):
        return [True] * len(ids)
    ranked = sorted(range(len(ids)), key=lambda place: _hash(purpose, ids[place]))
    kept = set(ranked[:count])
    return [place in kept for place in range(len(ids))]


def _hash(purpose: str, name: str) -> bytes:
    return hashlib.sha256(f"{purpose}\0{name}".encode()).digest()
