"""Units of work of a prediction: so many rows of a table become molecules, or get a reason."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rdkit import Chem

from unimol2_tasks.chemistry.parsing import parse
from unimol2_tasks.chemistry.preparation import PreparedMolecule, prepare_molecule
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.structure import Structure
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.molecule_files import molecule_file, write_molecules
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages.preparation.units import Unit

_ROWS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.UInt64,
    "id": pl.String,
    "smiles": pl.String,
    "canonical": pl.String,
    "atom_index": pl.List(pl.UInt16),
    "element": pl.List(pl.String),
    "reason": pl.String,
}


@dataclass(frozen=True, slots=True)
class PredictUnit(Unit):
    """Rows of the table become molecules with conformers."""

    rows: tuple[InputRow | Reject, ...]

    stage = "conformers"

    @property
    def function(self) -> Callable[[Any], PreparedMolecule]:
        """All of the preparation."""
        return partial(prepare_numbered, params=self.params)

    def molecules(self) -> list[Any]:
        """The structures of the rows that could be read."""
        return [row.structure for row in self.rows if isinstance(row, InputRow)]

    def write(self, results: list[PreparedMolecule | Rejected]) -> None:
        """Store the molecules, and of every row what became of it."""
        frame, records = prepared_rows(self.rows, results)
        if records:
            with self.workspace.new(molecules_name(self.number)) as path:
                write_molecules(path, records)
        # Last: its presence says that the unit is prepared.
        with self.workspace.new(rows_name(self.number)) as path:
            frame.write_parquet(path)


def prepare_numbered(structure: Structure, params: PrepareParams) -> PreparedMolecule:
    """Prepare a molecule whose `atom_map` has RDKit's numbers of the given text's atoms.

    Those that `Chem.MolFromSmiles` gives them, or `Chem.MolFromMolBlock`: written hydrogens that RDKit takes
    into their neighbours have none.

    Raises:
        Rejected: As `prepare_molecule`.
    """
    prepared = prepare_molecule(structure, params)
    places = parse(structure).places
    return replace(prepared, atom_map=np.searchsorted(places, prepared.atom_map).astype(np.uint16))


def prepared_rows(
    rows: Iterable[InputRow | Reject], results: Sequence[PreparedMolecule | Rejected]
) -> tuple[pl.DataFrame, list[MoleculeRecord]]:
    """What became of rows.

    Args:
        rows: Of a table.
        results: Of `prepare_numbered` for those that could be read.

    Returns:
        A table with every row: `smiles` as given (of an SDF record its canonical ones), and `reason`, why it
        is no molecule. Where that is null, `canonical` is its SMILES, and `atom_index` and `element` are what
        its atoms are in the input. Second the molecules, in the same order.
    """
    remaining = iter(results)
    described: list[tuple[Any, ...]] = []
    records: list[MoleculeRecord] = []
    for row in rows:
        if isinstance(row, Reject):
            described.append((row.row, str(row.row), row.input, None, None, None, row.reason))
            continue
        result = next(remaining)
        if isinstance(result, Rejected):
            described.append((row.row, row.id, row.structure.smiles, None, None, None, result.reason))
            continue
        atoms = (result.atom_map.tolist(), _elements(result))
        given = row.structure.smiles or result.smiles
        described.append((row.row, row.id, given, result.smiles, *atoms, None))
        records.append(MoleculeRecord.of(result, row.row, row.id))
    return pl.DataFrame(described, schema=_ROWS_SCHEMA, orient="row"), records


def _elements(molecule: PreparedMolecule) -> list[str]:
    table = Chem.GetPeriodicTable()
    return [table.GetElementSymbol(number) for number in molecule.tokens.tolist()]


def read_rows(path: Path) -> pl.DataFrame:
    """The table that a unit left."""
    return pl.read_parquet(path, schema=_ROWS_SCHEMA)


def unit_stem(number: int) -> str:
    """The name of a unit's files, without suffix."""
    return f"unit-{number:08d}"


def molecules_name(number: int) -> str:
    """The file with a unit's molecules; there is none where it has no molecule."""
    return molecule_file(unit_stem(number))


def rows_name(number: int) -> str:
    """The file that says what became of a unit's rows."""
    return f"rows/{unit_stem(number)}.parquet"
