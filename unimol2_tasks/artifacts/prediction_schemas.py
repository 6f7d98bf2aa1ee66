"""What tables of predictions and embeddings look like, checked on write and on read."""

from collections.abc import Iterable

import pandera.polars as pa
import polars as pl

from unimol2_tasks.artifacts.schemas import PREDICTION_PREFIX

CLASS_PREFIX = "class:"
STD_PREFIX = "std:"
LOWER_PREFIX = "lower:"
UPPER_PREFIX = "upper:"
EMBEDDING_PREFIX = "embedding:"
SIMILARITY = "similarity"
ATOM_INDEX = "atom_index"
ELEMENT = "element"

_INTEGERS = {"row": pl.UInt64(), ATOM_INDEX: pl.UInt32()}
_TEXTS = frozenset({"id", "smiles", ELEMENT, "reason"})


def _is_finite(data: pa.PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col(data.key).is_finite())


def _has_reason_or(prefix: str) -> pa.Check:
    """A row has values or a reason, and never both."""

    def check(data: pa.PolarsData) -> pl.LazyFrame:
        names = data.lazyframe.collect_schema().names()
        value = next(name for name in names if name.startswith(prefix))
        return data.lazyframe.select(pl.col("reason").is_null() != pl.col(value).is_null())

    return pa.Check(check, name=f"either {prefix}… or a reason")


def _number(
    description: str,
    check: pa.Check | None = None,
    required: bool = True,
    regex: bool = True,
    kind: type[pl.DataType] = pl.Float64,
) -> pa.Column:
    """A column that is null in rows with a reason."""
    checks = [pa.Check(_is_finite, name="finite")] if check is None else [check]
    return pa.Column(kind, checks, nullable=True, required=required, regex=regex, description=description)


def _rows(unique: bool) -> dict[str, pa.Column]:
    return {
        "row": pa.Column(
            pl.UInt64, pa.Check.ge(1), unique=unique, description="Data row of the source, from 1."
        ),
        "id": pa.Column(pl.String, description="Name in the source, else the row."),
        "smiles": pa.Column(pl.String, description="As given; of an SDF record the canonical ones."),
    }


_REASON = {"reason": pa.Column(pl.String, nullable=True, description="Why the row has no values.")}

PREDICTIONS = pa.DataFrameSchema(
    {
        **_rows(unique=True),
        f"^{PREDICTION_PREFIX}.+$": _number("In the label's unit; of a class its probability."),
        f"^{CLASS_PREFIX}.+$": _number(
            "The most probable class.", pa.Check.ge(0), required=False, kind=pl.Int64
        ),
        f"^{STD_PREFIX}.+$": _number(
            "Standard deviation over an ensemble's members.", pa.Check.ge(0), required=False
        ),
        f"^{LOWER_PREFIX}.+$": _number("Begin of the interval.", required=False),
        f"^{UPPER_PREFIX}.+$": _number("End of the interval.", required=False),
        SIMILARITY: _number(
            "Tanimoto similarity to the nearest training molecule.", pa.Check.in_range(0, 1), regex=False
        ),
        **_REASON,
    },
    checks=[_has_reason_or(PREDICTION_PREFIX)],
    strict=True,
)
"""One row per input row."""

EMBEDDINGS = pa.DataFrameSchema(
    {
        **_rows(unique=True),
        f"^{EMBEDDING_PREFIX}\\d+$": _number("One dimension of the molecule's representation."),
        **_REASON,
    },
    checks=[_has_reason_or(EMBEDDING_PREFIX)],
    strict=True,
)
"""One row per input row, a column per dimension."""

ATOM_EMBEDDINGS = pa.DataFrameSchema(
    {
        **_rows(unique=False),
        ATOM_INDEX: _number("RDKit's number of the atom.", pa.Check.ge(0), regex=False, kind=pl.UInt32),
        ELEMENT: pa.Column(pl.String, nullable=True, description="Its symbol."),
        f"^{EMBEDDING_PREFIX}\\d+$": _number("One dimension of its representation.", kind=pl.Float32),
        **_REASON,
    },
    checks=[_has_reason_or(EMBEDDING_PREFIX)],
    strict=True,
)
"""One row per heavy atom, and one per input row that failed."""


def schema_of(names: Iterable[str]) -> pa.DataFrameSchema:
    """The schema of the table that has these columns."""
    names = tuple(names)
    if ATOM_INDEX in names:
        return ATOM_EMBEDDINGS
    return EMBEDDINGS if any(name.startswith(EMBEDDING_PREFIX) for name in names) else PREDICTIONS


def column_types(names: Iterable[str]) -> dict[str, pl.DataType]:
    """The types of a table's columns by their names, which CSV does not keep."""
    names = tuple(names)
    value = pl.Float32() if ATOM_INDEX in names else pl.Float64()
    return {name: _column_type(name, value) for name in names}


def _column_type(name: str, value: pl.DataType) -> pl.DataType:
    if name in _TEXTS:
        return pl.String()
    if name in _INTEGERS:
        return _INTEGERS[name]
    return pl.Int64() if name.startswith(CLASS_PREFIX) else value
