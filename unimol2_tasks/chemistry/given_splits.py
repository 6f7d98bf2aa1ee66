"""Splits that somebody else made: a column of the table, or a file of ids."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import polars as pl

from unimol2_tasks.chemistry.split_names import EXPECTED_NAMES, SYNONYMS, Split
from unimol2_tasks.errors import TableError

_LOGGER = logging.getLogger(__name__)
_SHOWN = 3


def read_split_file(source: Path | IO[bytes], name: str | None = None) -> dict[str, Split]:
    """Read a CSV file with the columns `id` and `split`; other columns are ignored.

    Args:
        source: A path, or the file's bytes.
        name: What to call it in messages; none: its path.

    Returns:
        The split of every id.

    Raises:
        TableError: It cannot be read, a column is missing, an id or split is missing or unknown, or an id is
            in two splits; names the file, and the row counted from 1 below the header.
    """
    where = name or str(source if isinstance(source, Path) else getattr(source, "name", "split file"))
    table = _read_csv(source, where).with_columns(pl.col("split").alias("given"), _understood("split"))
    table = table.with_row_index("row", offset=1)
    for row in table.filter(pl.col("id").is_null()).head(1).iter_rows(named=True):
        raise TableError(f"{where}: row {row['row']}: id is missing")
    for row in table.filter(pl.col("split").is_null()).head(1).iter_rows(named=True):
        raise TableError(f"{where}: row {row['row']}, id {row['id']}: {_unknown(row['given'])}")
    contradicting = table.group_by("id").agg(pl.col("split").n_unique(), pl.col("row").min())
    for row in contradicting.filter(pl.col("split") > 1).sort("row").head(1).iter_rows(named=True):
        raise TableError(f"{where}: row {row['row']}: id {row['id']} is in several splits")
    return dict(table.select("id", "split").iter_rows())


def _read_csv(source: Path | IO[bytes], where: str) -> pl.DataFrame:
    try:
        table = pl.read_csv(source, infer_schema=False).rename(str.strip)
    except OSError as error:
        raise TableError(f"{where}: cannot be read: {error.strerror or error}") from None
    except pl.exceptions.PolarsError as error:
        raise TableError(f"{where}: not a CSV file in UTF-8: {error}") from None
    if missing := [column for column in ("id", "split") if column not in table.columns]:
        raise TableError(f"{where}: no column {' and '.join(missing)}; columns: {', '.join(table.columns)}")
    return table.select(pl.col("id", "split").str.strip_chars())


def splits_of_column(molecules: pl.DataFrame, column: str) -> list[Split]:
    """The splits that the table gave.

    Args:
        molecules: Columns `id` and `split`.
        column: What the table called it, for messages.

    Raises:
        TableError: A molecule has none, or an unknown one; names the first by its id.
    """
    understood = molecules.select("id", pl.col("split").alias("given"), _understood("split"))
    unknown = understood.filter(pl.col("split").is_null())
    for row in unknown.head(1).iter_rows(named=True):
        others = f" ({unknown.height - 1} more like it)" if unknown.height > 1 else ""
        raise TableError(f"column {column}, id {row['id']}: {_unknown(row['given'])}{others}")
    return understood["split"].to_list()


def splits_of_ids(molecules: pl.DataFrame, given: Mapping[str, str], file: str) -> list[Split]:
    """The splits that a file gave.

    Ids that only the file knows are told in a warning: rows that were rejected are among them.

    Args:
        molecules: Column `id`.
        given: Split of every id.
        file: Its name, for messages.

    Raises:
        TableError: A molecule is not in the file, or its split is unknown; names the first ones by id.
    """
    ids = molecules["id"]
    missing = ids.filter(~ids.is_in(pl.Series(list(given), dtype=pl.String).implode()))
    if len(missing):
        raise TableError(
            f"{file}: no split for {len(missing)} of {len(ids)} molecules: id {_some(missing)}; add them, or "
            "name the right id column"
        )
    unused = sorted(given.keys() - set(ids))
    if unused:
        _LOGGER.warning("%s: %d ids are not in the dataset: %s", file, len(unused), _some(unused))
    named = pl.DataFrame({"id": ids, "split": ids.replace_strict(dict(given), return_dtype=pl.String)})
    return splits_of_column(named, f"split of {file}")


def _understood(column: str) -> pl.Expr:
    text = pl.col(column).str.strip_chars().str.to_lowercase()
    return text.replace_strict(SYNONYMS, default=None, return_dtype=pl.String).alias(column)


def _unknown(value: str | None) -> str:
    return f"{f'unknown split {value!r:.60}' if value else 'no split'}; {EXPECTED_NAMES}"


def _some(ids: pl.Series | list[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else "")
