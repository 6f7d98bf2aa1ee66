"""Which columns of a table hold the molecule, its name and its measurements."""

import difflib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real

from unimol2_tasks.errors import TableError

_LOGGER = logging.getLogger(__name__)
_SMILES_NAMES = ("smiles", "canonical_smiles", "isomeric_smiles", "smi", "mol", "molecule", "structure")
_ID_NAMES = (
    "id",
    "name",
    "molecule_id",
    "mol_id",
    "compound_id",
    "cmpd_chemblid",
    "chembl_id",
    "cid",
    "index",
    "ori_index",  # Uni-Mol: the row of the table that an LMDB file was made from
)
_SHOWN_LABELS = 20
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
# numpy's numbers are registered as real ones, decimal's are not.
_NUMBERS = (str, Real, Decimal)


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """What a person said about the columns of a table."""

    smiles: str | None = None
    """None: guessed by its name; in an SDF file: the structures are used."""
    id: str | None = None
    """None: guessed by its name; without one, rows are named by their title or their number."""
    labels: tuple[str, ...] | None = None
    """None: every other column whose values are numbers."""
    split: str | None = None
    """The column that says which split a row belongs to; None: there is none."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that was named."""
        named = (self.smiles, self.id, *(self.labels or ()), self.split)
        return tuple(name for name in named if name is not None)


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the chosen columns."""

    smiles: str | None
    """None: the records hold structures."""
    id: str | None
    labels: tuple[str, ...]
    split: str | None

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        named = (self.smiles, self.id, *self.labels, self.split)
        return frozenset(name for name in named if name is not None)


def choose_columns(
    header: Sequence[str],
    sample: Sequence[Mapping[str, object]],
    choice: ColumnChoice,
    where: str,
    *,
    guess_smiles: bool = True,
    guess_id: bool = True,
) -> Columns:
    """Find the columns by name, or guess them where nobody named them.

    Args:
        header: Column names.
        sample: Cells of the first rows; a label column is guessed by its values there.
        choice: What was asked for.
        where: The table, for messages.
        guess_smiles: Whether there has to be a column with SMILES.
        guess_id: Whether one that is named like an id is taken for it.

    Raises:
        TableError: A named column is missing or of another type, or the one with SMILES cannot be guessed.
    """
    smiles = _smiles_column(header, choice.smiles, where) if guess_smiles or choice.smiles else None
    name = _id_column(header, choice.id, smiles, where) if guess_id or choice.id else None
    split = None if choice.split is None else _find(header, choice.split, where, "prepare.split_column")
    if choice.labels is not None:
        labels = tuple(_find(header, label, where, "--label-columns") for label in choice.labels)
    else:
        labels = tuple(
            column
            for column in header
            if column not in (smiles, name, split)
            and _could_be_label(column)
            and _is_numeric(column, [cells.get(column) for cells in sample], where)
        )
        more = f" and {len(labels) - _SHOWN_LABELS} more" if len(labels) > _SHOWN_LABELS else ""
        _say(where, "label columns", (", ".join(labels[:_SHOWN_LABELS]) or "none") + more)
    _refuse_types(smiles, labels, sample, where)
    return Columns(smiles, name, labels, split)


def refuse_doubled(header: Sequence[str], where: str) -> None:
    """Refuse a table with two columns of one name.

    Raises:
        TableError: Names the column.
    """
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    if doubled:
        raise TableError(f"{where}: column {doubled[0]!r} appears twice; rename one of them")


def parse_number(cell: object) -> float | None:
    """A measurement; None where it is missing.

    Raises:
        ValueError: `cell` is no finite number.
    """
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in _MISSING):
        return None
    # Python reads 1_000 as a number; nobody else does.
    if not isinstance(cell, _NUMBERS) or (isinstance(cell, str) and "_" in cell):
        raise ValueError(cell)
    value = float(cell)
    if math.isinf(value):
        raise ValueError(cell)
    return None if math.isnan(value) else value


def _smiles_column(header: Sequence[str], wanted: str | None, where: str) -> str:
    if wanted not in header:
        _refuse_other_separator(header, where)
    if wanted is not None:
        return _find(header, wanted, where, "--smiles-column")
    lowered = [name.strip().lower() for name in header]
    for name in _SMILES_NAMES:
        if lowered.count(name) == 1:
            column = header[lowered.index(name)]
            _say(where, "SMILES column", column)
            return column
    found = ", ".join(repr(name) for name in header)
    raise TableError(
        f"{where}: no column is clearly the one with SMILES; name it by --smiles-column; found: {found}"
    )


def _refuse_other_separator(header: Sequence[str], where: str) -> None:
    """Spreadsheets write semicolons where the comma is the decimal point."""
    for separator, name, advice in (
        (";", "semicolons", "save it as .csv with commas, and points in numbers"),
        ("\t", "tabs", "let its name end in .tsv"),
    ):
        if len(header) == 1 and separator in header[0]:
            raise TableError(f"{where}: one column, {header[0]!r}, which looks separated by {name}; {advice}")


def _id_column(header: Sequence[str], wanted: str | None, smiles: str | None, where: str) -> str | None:
    if wanted is not None:
        return _find(header, wanted, where, "--id-column")
    candidates = [name for name in header if name != smiles and name.strip().lower() in _ID_NAMES]
    if len(candidates) != 1:
        return None
    _say(where, "id column", candidates[0])
    return candidates[0]


def _find(header: Sequence[str], name: str, where: str, option: str) -> str:
    if name in header:
        return name
    if not header:
        raise TableError(f"{where}: {option}: no column {name!r}; there are no columns")
    close = difflib.get_close_matches(name, header, n=3, cutoff=0.5) or list(header)
    raise TableError(f"{where}: {option}: no column {name!r}; did you mean {', '.join(map(repr, close))}?")


def _refuse_types(
    smiles: str | None, labels: Sequence[str], sample: Sequence[Mapping[str, object]], where: str
) -> None:
    """Cells of text formats are text; Parquet and LMDB have types that no row can be right with."""
    for column, expected, types in [
        (smiles, "SMILES", (str,)),
        *((name, "numbers", _NUMBERS) for name in labels),
    ]:
        known = [cells[column] for cells in sample if column is not None and cells.get(column) is not None]
        if known and not any(isinstance(cell, types) for cell in known):
            raise TableError(
                f"{where}: column {column!r} holds {type(known[0]).__name__}, expected {expected}; "
                "name another column"
            )


def _could_be_label(column: str) -> bool:
    """Whether it is more than the row numbers that pandas writes, or a name."""
    lowered = column.strip().lower()
    return (
        bool(lowered) and not lowered.startswith(("unnamed:", "__index_level_")) and lowered not in _ID_NAMES
    )


def _is_numeric(column: str, cells: Sequence[object], where: str) -> bool:
    numbers, others = 0, []
    for cell in cells:
        try:
            numbers += parse_number(cell) is not None
        except ValueError:
            others.append(cell)
    if others and numbers > len(others):
        _LOGGER.warning(
            "%s: column %r is no label: it holds %r; name it by --label-columns to reject such rows",
            where,
            column,
            others[0],
        )
    return numbers > 0 and not others


def _say(where: str, what: str, found: str) -> None:
    _LOGGER.info("%s: %s: %s (guessed)", where, what, found)
