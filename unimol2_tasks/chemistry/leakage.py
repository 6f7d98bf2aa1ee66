"""How much a test set gives away: what of it the training set holds already, or nearly."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unimol2_tasks.chemistry.fingerprints import BITS, RADIUS, SparseFingerprints, sparse_morgan_fingerprints
from unimol2_tasks.chemistry.split_names import Split
from unimol2_tasks.chemistry.tanimoto import nearest_similarities
from unimol2_tasks.errors import TableError

HELD_OUT_SAMPLE = 1_000
"""Molecules of test, and of valid, that are compared at most."""
TRAIN_SAMPLE = 100_000
"""Training molecules that they are compared with at most."""

_QUANTILES = (0.05, 0.25, 0.75, 0.95)
_SHARES = (0.5, 0.7, 0.9, 1.0)
_BINS = 20
_SKELETON_LENGTH = 14
_SHOWN = 5


def leakage_report(molecules: pl.DataFrame, splits: Sequence[Split], seed: int) -> dict[str, Any]:
    """Compare test and validation molecules with the training set; refuse duplicates.

    Args:
        molecules: A row per molecule: `id`, `smiles` (canonical), `inchikey`, `scaffold` (empty: acyclic).
        splits: Of each molecule.
        seed: Of the samples that are compared where a part is large.

    Returns:
        Ready for JSON. `test` and `valid` (null where nothing is to be compared): `nearest_train_similarity`,
        statistics of each molecule's Tanimoto similarity to the training molecule nearest to it, 0 to 1, with
        the number of molecules compared and whether they are `sampled` (with a sampled training set they come
        out too low); scaffolds shared with train, acyclic molecules apart. `stereoisomers`: InChIKey
        skeletons (first blocks) that lie in several splits, with the first few.

    Raises:
        TableError: The same molecule, by its InChIKey, is in two splits; names the ids.
    """
    table = molecules.select("id", "smiles", "inchikey", "scaffold").with_columns(
        pl.Series("split", splits, dtype=pl.String)
    )
    _refuse_duplicates(table)
    rng = np.random.default_rng(seed)
    train = table.filter(split="train")
    training = sparse_morgan_fingerprints(_sample(train, TRAIN_SAMPLE, rng)["smiles"])
    return {
        "similarity": f"Tanimoto of Morgan fingerprints, radius {RADIUS}, {BITS} bits",
        **{part: _compare(table.filter(split=part), train, training, rng) for part in ("test", "valid")},
        "stereoisomers": _stereoisomers(table),
    }


def _refuse_duplicates(table: pl.DataFrame) -> None:
    twice = _across_splits(table, pl.col("inchikey"))
    if twice.height:
        raise TableError(
            f"{twice.height} molecules are in more than one split: {_list(twice.head(_SHOWN))}. Give every "
            "row of a molecule the same split"
        )


def _across_splits(table: pl.DataFrame, key: pl.Expr) -> pl.DataFrame:
    """Keys that lie in several splits, with the ids and splits of their molecules."""
    groups = table.group_by(key.alias("key")).agg("id", "split")
    return groups.filter(pl.col("split").list.n_unique() > 1).sort("key")


def _list(groups: pl.DataFrame) -> str:
    lines = []
    for row in groups.iter_rows(named=True):
        members = ", ".join(
            f"id {name} ({split})" for name, split in zip(row["id"], row["split"], strict=True)
        )
        lines.append(f"{row['key']}: {members:.200}")
    return "; ".join(lines)


def _sample(table: pl.DataFrame, size: int, rng: np.random.Generator) -> pl.DataFrame:
    if table.height <= size:
        return table
    return table[np.sort(rng.choice(table.height, size, replace=False))]


def _compare(
    part: pl.DataFrame, train: pl.DataFrame, training: SparseFingerprints, rng: np.random.Generator
) -> dict[str, Any] | None:
    if not part.height or not train.height:
        return None
    sample = _sample(part, HELD_OUT_SAMPLE, rng)
    nearest = nearest_similarities(sparse_morgan_fingerprints(sample["smiles"]), training)
    cyclic = part.filter(pl.col("scaffold") != "")
    shared = cyclic.join(train, on="scaffold", how="semi")
    return {
        "molecules": part.height,
        "compared": sample.height,
        "train_molecules": train.height,
        "train_compared": training.shape[0],
        "sampled": sample.height < part.height or training.shape[0] < train.height,
        "nearest_train_similarity": _distribution(nearest),
        "scaffolds": cyclic["scaffold"].n_unique(),
        "scaffolds_shared_with_train": shared["scaffold"].n_unique(),
        "molecules_with_shared_scaffold": shared.height,
    }


def _distribution(similarities: NDArray[np.float32]) -> dict[str, Any]:
    # In double precision 0.7 of float32 would be below 0.7.
    values = np.round(similarities.astype(np.float64), 6)
    counts, edges = np.histogram(values, bins=_BINS, range=(0, 1))
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "quantiles": {str(share): float(np.quantile(values, share)) for share in _QUANTILES},
        "share_at_least": {str(limit): float((values >= limit).mean()) for limit in _SHARES},
        "histogram": {"edges": np.round(edges, 6).tolist(), "counts": counts.tolist()},
    }


def _stereoisomers(table: pl.DataFrame) -> dict[str, Any]:
    across = _across_splits(table, pl.col("inchikey").str.head(_SKELETON_LENGTH))
    first = across.head(_SHOWN).rename({"key": "skeleton", "id": "ids", "split": "splits"})
    return {"skeletons_across_splits": across.height, "first": first.to_dicts()}
