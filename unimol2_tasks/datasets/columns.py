"""Which columns of a table hold the molecule, its name and its measurements."""

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

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
)
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """What a person said about the columns of a table."""

    smiles: str | None = None
    """None: guessed by its name."""
    id: str | None = None
    """None: guessed by its name; without one, rows are named by their number."""
    labels: tuple[str, ...] | None = None
    """None: every other column whose values are numbers."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Places of the chosen columns, from 0."""

    smiles: int
    id: int | None
    labels: tuple[int, ...]


def choose_columns(
    header: Sequence[str], sample: Sequence[Sequence[str]], choice: ColumnChoice, where: str
) -> Columns:
    """Find the columns by name, or guess them where nobody named them.

    Args:
        header: Column names.
        sample: The first rows; a label column is guessed by its values there.
        choice: What was asked for.
        where: The table, for messages.

    Raises:
        TableError: A named column is missing, or the one with SMILES cannot be guessed.
    """
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    if doubled:
        raise TableError(f"{where}: column {doubled[0]!r} appears twice; rename one of them")
    smiles = _smiles_column(header, choice.smiles, where)
    name = _id_column(header, choice.id, smiles, where)
    if choice.labels is not None:
        labels = tuple(_find(header, label, where, "--label-columns") for label in choice.labels)
    else:
        labels = tuple(
            place
            for place, column in enumerate(header)
            if place not in (smiles, name)
            and _could_be_label(column)
            and _is_numeric(column, [row[place] for row in sample if place < len(row)], where)
        )
        _say(where, "label columns", ", ".join(header[place] for place in labels) or "none")
    return Columns(smiles, name, labels)


def parse_number(text: str) -> float | None:
    """A measurement; None where it is missing.

    Raises:
        ValueError: `text` is no finite number.
    """
    if text.strip().lower() in _MISSING:
        return None
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


def _smiles_column(header: Sequence[str], wanted: str | None, where: str) -> int:
    if wanted is not None:
        return _find(header, wanted, where, "--smiles-column")
    lowered = [name.strip().lower() for name in header]
    for name in _SMILES_NAMES:
        if lowered.count(name) == 1:
            place = lowered.index(name)
            _say(where, "SMILES column", header[place])
            return place
    found = ", ".join(repr(name) for name in header)
    raise TableError(
        f"{where}: no column is clearly the one with SMILES; name it by --smiles-column; found: {found}"
    )


def _id_column(header: Sequence[str], wanted: str | None, smiles: int, where: str) -> int | None:
    if wanted is not None:
        return _find(header, wanted, where, "--id-column")
    candidates = [
        place for place, name in enumerate(header) if place != smiles and name.strip().lower() in _ID_NAMES
    ]
    if len(candidates) != 1:
        return None
    _say(where, "id column", header[candidates[0]])
    return candidates[0]


def _find(header: Sequence[str], name: str, where: str, option: str) -> int:
    if name in header:
        return header.index(name)
    close = difflib.get_close_matches(name, header, n=3, cutoff=0.5) or list(header)
    raise TableError(f"{where}: {option}: no column {name!r}; did you mean {', '.join(map(repr, close))}?")


def _could_be_label(column: str) -> bool:
    """Whether it is more than the unnamed row numbers that pandas writes, or a name."""
    lowered = column.strip().lower()
    return bool(lowered) and not lowered.startswith("unnamed:") and lowered not in _ID_NAMES


def _is_numeric(column: str, values: Sequence[str], where: str) -> bool:
    numbers, others = 0, []
    for text in values:
        try:
            numbers += parse_number(text) is not None
        except ValueError:
            others.append(text)
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
