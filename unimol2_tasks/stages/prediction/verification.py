"""Verification of a table of predictions or embeddings, of any length."""

from functools import partial

import numpy as np

from unimol2_tasks.artifacts.manifest import Manifest
from unimol2_tasks.artifacts.prediction_schemas import column_types, schema_of
from unimol2_tasks.artifacts.schemas import validate
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.streamed_tables import read_pieces
from unimol2_tasks.errors import ArtifactError


def verify_predictions(store: Store, uri: str, manifest: Manifest) -> str:
    """Read a published table from its begin to its end, and say what is in it.

    Raises:
        ArtifactError: It cannot be read, breaks its schema, is not in the order of its source, or has other
            numbers of rows and failures than its manifest says.
    """
    last, rows, failed, atoms = 0, 0, 0, 0
    for piece in read_pieces(uri, partial(store.open, uri), column_types):
        validate(piece, schema_of(piece.columns), uri)
        numbers = piece["row"].to_numpy()
        steps = np.diff(numbers.astype(np.int64), prepend=last)
        if (steps < 0).any():
            raise ArtifactError(f"{uri}: rows are not in the order of their source; make it again")
        rows += int((steps > 0).sum())
        failed += int(piece["reason"].is_not_null().sum())
        atoms += piece.height
        last = int(numbers[-1]) if len(numbers) else last
    if manifest.rows is not None and (manifest.rows.rows_in, manifest.rows.rejects) != (rows, failed):
        raise ArtifactError(
            f"{uri}: {rows:,} rows, {failed:,} of them with a reason; its manifest says "
            f"{manifest.rows.rows_in:,} and {manifest.rows.rejects:,}; make it again"
        )
    each = f" in {atoms:,} lines" if atoms != rows else ""
    return f"{rows:,} rows{each}, {failed:,} with a reason instead of values, all valid"
