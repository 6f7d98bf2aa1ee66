"""A table without SMILES and the geometries of its rows, as one SDF file."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from rdkit import Chem

from unimol2_tasks.artifacts.drafts import sync
from unimol2_tasks.artifacts.manifest import Rows
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.xyz import molecule_from_xyz
from unimol2_tasks.datasets.ledger import LedgerWriter, Reject
from unimol2_tasks.errors import TableError
from unimol2_tasks.progress import report


def write_sdf(
    rows: pl.DataFrame, id_column: str, properties: Sequence[str], geometries: Iterable[str], out: Path
) -> Rows:
    """Write every row whose geometry is a molecule as a record of `out`, under its id.

    Beside `out` lies `NAME.rejects.csv` with the other rows, also where there are none. Both have their names
    once they are whole; what an interruption leaves is `.part`.

    Args:
        rows: Text; a row per molecule.
        id_column: Becomes the title of the record and a property.
        properties: Further columns that become properties; missing values are left out.
        geometries: XYZ texts of the rows, in their order. All molecules are neutral.
        out: `.sdf`.

    Raises:
        TableError: There are more or fewer geometries than rows.
    """
    kept = 0
    texts = iter(geometries)
    with (
        replaced(out.with_suffix(".rejects.csv"), out) as (rejects, molecules),
        LedgerWriter(rejects) as ledger,
        Chem.SDWriter(str(molecules)) as writer,
    ):
        for number, row in enumerate(rows.iter_rows(named=True), start=1):
            text = next(texts, None)
            if text is None:
                raise TableError(f"{out}: row {number}, id {row[id_column]}: no geometry; make them anew")
            try:
                molecule = molecule_from_xyz(text)
            except Rejected as rejected:
                ledger.write([Reject(number, row[id_column], rejected.stage, rejected.reason)])
                continue
            writer.write(_named(molecule, row, (id_column, *properties)))
            kept += 1
            report("bonds from geometries", number, rows.height)
        if next(texts, None) is not None:
            raise TableError(f"{out}: more geometries than the {rows.height} rows; make them anew")
    return Rows.model_validate({"in": rows.height, "out": kept, "rejects": ledger.rows})


@contextmanager
def replaced(*targets: Path) -> Iterator[list[Path]]:
    """Paths to write to; the files get their names, in this order, unless the block ends in an error.

    What is written is this process's own, and gone after an error; what a killed process leaves is `.part`.
    """
    partial = [target.with_name(f".{target.name}.{os.getpid()}.part") for target in targets]
    try:
        yield partial
        for path, target in zip(partial, targets, strict=True):
            sync(path)
            path.replace(target)
            sync(target.parent)
    finally:
        for path in partial:
            path.unlink(missing_ok=True)


def _named(molecule: Chem.Mol, row: dict[str, str | None], columns: Sequence[str]) -> Chem.Mol:
    molecule.SetProp("_Name", row[columns[0]] or "")
    for column in columns:
        value = row[column]
        if value is not None:
            molecule.SetProp(column, value)
    return molecule
