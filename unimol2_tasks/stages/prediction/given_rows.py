"""Molecules that are given in Python, as rows of a table."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from rdkit import Chem, rdBase

from unimol2_tasks.chemistry.rdkit_messages import rejecting
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.structure import Structure
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.rows import InputRow

# By name: pandas need not be there.
_PANDAS_MISSING = ("NAType", "NaTType")


def given_rows(molecules: Iterable[object]) -> list[InputRow | Reject]:
    """A row for each molecule, numbered from 1.

    Args:
        molecules: SMILES or `Chem.Mol`, of which its record in an SDF file counts, with the first conformer.
            None, NaN and pandas' NA are a row without a molecule.

    Raises:
        TypeError: `molecules` is a single one or a whole table, or holds something else; the message says
            which.
    """
    kind = type(molecules)
    if isinstance(molecules, str | bytes | Chem.Mol):
        raise TypeError(f"smiles: expected several molecules, such as ['CCO'], got one {kind.__name__}")
    # Of pandas, polars and pyarrow; iterated, a table gives its columns or their names.
    if isinstance(molecules, Mapping) or hasattr(kind, "columns"):
        raise TypeError(f'smiles: expected one column, such as df["smiles"], got a whole {kind.__name__}')
    return [_row(number, given) for number, given in enumerate(molecules, start=1)]


def _row(number: int, given: object) -> InputRow | Reject:
    if _is_missing(given):
        return Reject(number, "", "read", "no molecule was given")
    if isinstance(given, str):
        # As a table's cell is read.
        return InputRow(number, str(number), Structure(str(given).strip()))
    if isinstance(given, Chem.Mol):
        try:
            return InputRow(number, str(number), _structure(given))
        except Rejected as rejection:
            return Reject(number, "", "parse", rejection.reason)
    raise TypeError(
        f"smiles: molecule {number} is {type(given).__name__} ({given!r:.80}); expected SMILES as text, "
        "a Chem.Mol, or None where there is no molecule"
    )


def _is_missing(given: object) -> bool:
    if isinstance(given, float | np.floating):
        return math.isnan(given)
    return given is None or type(given).__name__ in _PANDAS_MISSING


def _structure(mol: Chem.Mol) -> Structure:
    with rdBase.BlockLogs(), rejecting("parse"):
        return Structure(mol_block=Chem.MolToV3KMolBlock(mol))
