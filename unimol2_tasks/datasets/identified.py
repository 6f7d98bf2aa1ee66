"""Identified rows: the table between standardisation and conformers, one Parquet file per unit of work.

Every input row of a unit is in its file once: as a molecule, or with the stage and reason of its rejection.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unimol2_tasks.artifacts.schemas import LABEL_PREFIX
from unimol2_tasks.chemistry.preparation import Identity
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.split_names import SYNONYMS
from unimol2_tasks.datasets.ledger import Reject
from unimol2_tasks.datasets.rows import InputRow


def identified_schema(label_names: Sequence[str]) -> pa.Schema:
    """The columns of a file of identified rows.

    `input` is the row's text for the ledger. Where `reason` is not null the row is rejected and everything
    from `smiles` to `changes` is null. `positions` holds given conformers, [K, n, 3] float32.
    """
    return pa.schema(
        [("row", pa.uint64()), ("id", pa.string()), ("input", pa.string()), ("split", pa.string())]
        + [(LABEL_PREFIX + name, pa.float64()) for name in label_names]
        + [(name, pa.string()) for name in ("smiles", "inchikey", "scaffold")]
        + [("atom_map", pa.binary()), ("positions", pa.binary()), ("changes", pa.list_(pa.string()))]
        + [("stage", pa.string()), ("reason", pa.string())]
    )


def identified_row(row: InputRow, result: Identity | Rejected, label_names: Sequence[str]) -> dict[str, Any]:
    """One row of the file, by column."""
    columns: dict[str, Any] = {"row": row.row, "id": row.id, "input": row.text}
    if row.split is not None:
        # One name for each split, so that duplicates agree; an unknown one stays, to be refused by name.
        columns["split"] = SYNONYMS.get(row.split.strip().lower(), row.split)
    labels = zip(label_names, row.labels, strict=True)
    columns |= {LABEL_PREFIX + name: value for name, value in labels}
    if isinstance(result, Rejected):
        return columns | {"stage": result.stage, "reason": result.reason}
    columns |= {"smiles": result.smiles, "inchikey": result.inchikey, "scaffold": result.scaffold}
    columns["atom_map"] = np.ascontiguousarray(result.atom_map, "<u2").tobytes()
    if result.positions is not None:
        columns["positions"] = np.ascontiguousarray(result.positions, "<f4").tobytes()
    return columns | {"changes": list(result.changes)}


def unreadable_row(reject: Reject) -> dict[str, Any]:
    """One row that no reader could make sense of."""
    return {
        "row": reject.row,
        "id": "",
        "input": reject.input,
        "stage": reject.stage,
        "reason": reject.reason,
    }


def write_identified(path: Path, rows: Iterable[dict[str, Any]], label_names: Sequence[str]) -> None:
    """Write the rows of one unit, in order."""
    pq.write_table(
        pa.Table.from_pylist(list(rows), schema=identified_schema(label_names)), path, compression="zstd"
    )


def identity(row: dict[str, Any]) -> Identity:
    """The molecule of one row of the file, by column; not for a rejected row."""
    atom_map = np.frombuffer(row["atom_map"], "<u2")
    positions = row["positions"]
    return Identity(
        smiles=row["smiles"],
        inchikey=row["inchikey"],
        scaffold=row["scaffold"],
        atom_map=atom_map,
        changes=tuple(row["changes"]),
        positions=None
        if positions is None
        else np.frombuffer(positions, "<f4").reshape(-1, len(atom_map), 3),
    )
