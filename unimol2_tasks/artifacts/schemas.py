"""What every table of an artifact looks like, checked on write and on read."""

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors
from polars import selectors

from unimol2_tasks.errors import ArtifactError

LABEL_PREFIX = "label:"
PREDICTION_PREFIX = "prediction:"
SPLIT_NAMES = ("train", "valid", "test")
REJECT_STAGES = ("read", "parse", "standardise", "deduplicate", "conformers", "features")
METHODS = ("etkdg+mmff94s", "etkdg+uff", "etkdg", "given")

_SHOWN_FAILURES = 3
_CHECK_ERROR = SchemaErrorReason.CHECK_ERROR
_ATOMS = pl.col("atoms").cast(pl.Int64)
_CONFORMERS = pl.col("conformers").cast(pl.Int64)
_MEANINGS = {
    "row": "Data row of the source, from 1.",
    "id": "Name in the source, else the row.",
    "smiles": "Canonical isomeric SMILES; its order of atoms is that of all arrays.",
    "inchikey": "Standard InChIKey.",
    "scaffold": "Murcko scaffold as SMILES without stereo; empty for an acyclic molecule.",
    "method": "How the conformers were made.",
    "atoms": "Heavy atoms n.",
    "conformers": "Stored conformers K.",
    "tokens": "uint8 [n]: atomic numbers.",
    "atom_features": "uint8 [n, 8]: indices into the atom-feature embedding.",
    "degrees": "uint8 [n]: bonds to heavy atoms, + 2.",
    "bonds": "uint16 [m, 2]: the two atoms of each bond, from 0.",
    "bond_features": "uint8 [m, 3]: indices into the bond-feature embedding.",
    "path_lengths": "uint16 [n, n]: shortest path in bonds + 1; 510 where there is none.",
    "positions": "float32 [K, n, 3] in Å.",
    "energies": "float32 [K] in kcal/mol, of the method's force field; NaN where there is none.",
    "flat_positions": "float32 [n, 2]: the drawing, bonds of 1.5 Å.",
    "atom_map": "uint16 [n]: place of each atom in the input, from 0.",
}
_BYTES = {
    "tokens": _ATOMS,
    "atom_features": 8 * _ATOMS,
    "degrees": _ATOMS,
    "atom_map": 2 * _ATOMS,
    "flat_positions": 8 * _ATOMS,
    "path_lengths": 2 * _ATOMS**2,
    "positions": 12 * _ATOMS * _CONFORMERS,
    "energies": 4 * _CONFORMERS,
    "bond_features": pl.col("bonds").cast(pl.Int64) * 3 / 4,
}
"""Size of each array that is stored as bytes, by the row's counts (a bond is 4 bytes and 3 features)."""


def _has_size(column: str, size: pl.Expr) -> pa.Check:
    def check(data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col(column).cast(pl.Int64) == size)

    return pa.Check(check, name=f"size of {column}")


def _column(name: str, kind: type[pl.DataType], check: pa.Check | None = None) -> pa.Column:
    return pa.Column(kind, check, description=_MEANINGS[name])


def _is_finite(data: pa.PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col(data.key).is_finite())


MOLECULES = pa.DataFrameSchema(
    {
        "row": _column("row", pl.UInt64, pa.Check.ge(1)),
        "id": _column("id", pl.String),
        "smiles": _column("smiles", pl.String, pa.Check.str_length(min_value=1)),
        "inchikey": _column("inchikey", pl.String, pa.Check.str_matches(r"^[A-Z]{14}-[A-Z]{10}-[A-Z]$")),
        "scaffold": _column("scaffold", pl.String),
        "method": _column("method", pl.String, pa.Check.isin(METHODS)),
        "atoms": _column("atoms", pl.UInt16, pa.Check.in_range(1, 1024)),
        "conformers": _column("conformers", pl.UInt8, pa.Check.in_range(1, 100)),
        **{name: _column(name, pl.UInt32) for name in ("bonds", *_BYTES)},
        f"^{LABEL_PREFIX}.+$": pa.Column(
            pl.Float64,
            pa.Check(_is_finite, name="finite"),
            nullable=True,
            required=False,
            regex=True,
            description="A measurement, in the unit of the source; null where missing.",
        ),
    },
    checks=[_has_size(column, size) for column, size in _BYTES.items()],
    strict=True,
)
"""One row per molecule of a dataset; of the arrays, stored as little-endian bytes, the sizes."""

INDEX = pa.DataFrameSchema(
    {
        "index": pa.Column(pl.UInt64, unique=True),
        "shard": pa.Column(pl.String, pa.Check.str_matches(r"^part-\d{5}\.parquet$")),
        "row_in_shard": pa.Column(pl.UInt32),
        "atoms": pa.Column(pl.UInt16, pa.Check.ge(1)),
        "conformers": pa.Column(pl.UInt8, pa.Check.ge(1)),
        "scaffold": pa.Column(pl.UInt32),
    },
    strict=True,
)
"""Where each molecule of a dataset is; `scaffold` is its place in the table of scaffolds, from 0."""

SCAFFOLDS = pa.DataFrameSchema(
    {
        "scaffold": pa.Column(pl.String, unique=True),
        "molecules": pa.Column(pl.UInt64, pa.Check.ge(1)),
    },
    strict=True,
)
"""Murcko scaffolds of a dataset, the most frequent first; empty text: acyclic molecules."""

SPLITS = pa.DataFrameSchema(
    {
        "index": pa.Column(pl.UInt64, unique=True),
        "id": pa.Column(pl.String),
        "split": pa.Column(pl.String, pa.Check.isin(SPLIT_NAMES)),
        "fold": pa.Column(pl.UInt8, nullable=True),
    },
    strict=True,
)
"""Which part each molecule of a dataset belongs to."""

REJECTS = pa.DataFrameSchema(
    {
        "row": pa.Column(pl.UInt64, pa.Check.ge(1), unique=True),
        "input": pa.Column(pl.String),
        "stage": pa.Column(pl.String, pa.Check.isin(REJECT_STAGES)),
        "reason": pa.Column(pl.String, pa.Check.str_length(min_value=1)),
    },
    strict=True,
)
"""The rows of the input that are not in the output, and why."""

TRIALS = pa.DataFrameSchema(
    {
        "number": pa.Column(pl.UInt64, unique=True),
        "state": pa.Column(pl.String, pa.Check.isin(("complete", "failed"))),
        "loss": pa.Column(pl.Float64, nullable=True, description="Validation loss; null: it failed."),
        "seconds": pa.Column(pl.Float64, pa.Check.ge(0), nullable=True),
        "reason": pa.Column(pl.String, nullable=True),
    },
)
"""The trials of a search; besides these a column for each searched parameter and each metric."""

TRAINING_MOLECULES = pa.DataFrameSchema(
    {
        "id": pa.Column(pl.String),
        "fingerprint": pa.Column(pl.UInt32, pa.Check.eq(256), description="2,048 bits, packed; its size."),
    },
    strict=True,
)
"""The molecules that a predictor was trained on."""


def validate(frame: pl.DataFrame, schema: pa.DataFrameSchema, where: str) -> pl.DataFrame:
    """Check a table; binary columns are checked by their sizes.

    Args:
        frame: The table.
        schema: One of this file's.
        where: Its file, for the message.

    Returns:
        The table as it was given.

    Raises:
        ArtifactError: Names the file, and for every failed check the column, the check, the number of
            failing rows and the first of them.
    """
    # Not the bytes themselves: pandera prints failing rows as JSON, and polars has none for binary.
    sizes = frame.with_columns(selectors.binary().bin.size())
    try:
        schema.validate(sizes, lazy=True)
    except SchemaErrors as failure:
        # A check that needs a missing column fails too; the missing column is what matters.
        telling = [error for error in failure.schema_errors if error.reason_code != _CHECK_ERROR]
        problems = "; ".join(_explain(error, frame.height) for error in telling or failure.schema_errors)
        raise ArtifactError(f"{where}: {problems}. The file is damaged or of another version") from None
    return frame


def _explain(error: SchemaError, rows: int) -> str:
    check = getattr(error.check, "name", None) or error.check
    column = getattr(error.schema, "name", None)
    place = f"column {column}: {check}" if column else str(check)
    cases = error.failure_cases
    if not isinstance(cases, pl.DataFrame):
        return f"{place}: {cases}"
    first = ", ".join(str(case[0] if len(case) == 1 else case) for case in cases.head(_SHOWN_FAILURES).rows())
    return f"{place} fails for {cases.height} of {rows} rows: {first:.300}"
