"""Which format a file has, by its name."""

from unimol2_tasks.datasets.readers.parquet import Parquet
from unimol2_tasks.datasets.readers.records import TableFormat
from unimol2_tasks.datasets.readers.sdf import Sdf
from unimol2_tasks.datasets.readers.separated import Csv, Tsv
from unimol2_tasks.datasets.readers.smiles_lines import SmilesLines
from unimol2_tasks.datasets.readers.unimol_lmdb import UniMolLmdb
from unimol2_tasks.errors import TableError

FORMATS: tuple[TableFormat, ...] = (Csv(), Tsv(), SmilesLines(), Sdf(), Parquet(), UniMolLmdb())

_SUFFIXES = [suffix for kind in FORMATS for suffix in kind.suffixes]
EXPECTED = ", ".join(_SUFFIXES) + ", each also with .gz"
"""For messages."""
WITH_COORDINATES = ", ".join(suffix for kind in FORMATS if kind.holds_coordinates for suffix in kind.suffixes)
"""For messages."""


def format_of(uri: str) -> TableFormat:
    """The format whose suffix `uri` has.

    Raises:
        TableError: It has no known one.
    """
    name = uri.lower().removesuffix(".gz")
    for kind in FORMATS:
        if name.endswith(kind.suffixes):
            return kind
    raise TableError(f"{uri}: unknown kind of table; expected {EXPECTED}, or a folder of such files")


def has_format(uri: str) -> bool:
    """Whether `uri` has the suffix of a known format."""
    return uri.lower().removesuffix(".gz").endswith(tuple(_SUFFIXES))
