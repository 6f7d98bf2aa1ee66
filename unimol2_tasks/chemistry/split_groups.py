"""Which molecules stay together when a dataset is split.

A group is a number from 0, one per molecule. Groups depend on the molecules alone: not on their order in the
dataset, and not on a seed.
"""

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unimol2_tasks.chemistry.clustering import similarity_clusters
from unimol2_tasks.chemistry.fingerprints import sparse_morgan_fingerprints
from unimol2_tasks.errors import ParameterError

GroupKind = Literal["random", "scaffold", "scaffold-similarity", "butina"]
CLUSTERING_LIMIT = 1_000_000
"""Distinct molecules or scaffolds that are clustered. Fingerprints of as many take 0.3 GB. The
time grows nearly with the square of the number: half a minute for 100,000 (measured), about
an hour for a million (extrapolated)."""


def split_groups(molecules: pl.DataFrame, kind: GroupKind, similarity: float) -> NDArray[np.intp]:
    """Group molecules.

    Args:
        molecules: Columns `smiles` (canonical), `inchikey` and `scaffold`.
        kind: `random`: each molecule by itself. `scaffold`: those with the same scaffold, and all acyclic
            ones. `scaffold-similarity`: those whose scaffolds are in one cluster of similar scaffolds, common
            scaffolds leading; acyclic molecules have none and are clustered by themselves. It is the kind of
            split that Uni-Mol2 evaluates with; how its clusters were made is not published.
            `butina`: those in one cluster of similar molecules. See `clustering.similarity_clusters`.
        similarity: Tanimoto similarity from which molecules or scaffolds are neighbours.

    Returns:
        [molecules] Groups without gaps.

    Raises:
        ParameterError: There is more to cluster than `CLUSTERING_LIMIT`.
    """
    if kind == "random":
        return _ranks(molecules["inchikey"])
    if kind == "scaffold":
        return _ranks(molecules["scaffold"])
    if kind == "butina":
        return _molecule_clusters(molecules, similarity)
    return _scaffold_clusters(molecules, similarity)


def _ranks(texts: pl.Series) -> NDArray[np.intp]:
    """Places of texts among the distinct ones in alphabetical order."""
    return (texts.rank("dense").to_numpy() - 1).astype(np.intp)


def _scaffold_clusters(molecules: pl.DataFrame, similarity: float) -> NDArray[np.intp]:
    acyclic = (molecules["scaffold"] == "").to_numpy()
    groups = np.empty(molecules.height, np.intp)
    groups[~acyclic] = _cluster(molecules.filter(~acyclic), "scaffold", "scaffold", similarity)
    first_acyclic = groups[~acyclic].max(initial=-1) + 1
    groups[acyclic] = first_acyclic + _molecule_clusters(molecules.filter(acyclic), similarity)
    return groups


def _molecule_clusters(molecules: pl.DataFrame, similarity: float) -> NDArray[np.intp]:
    # InChIKeys are hashes: in their order the leaders are a random sample of the molecules.
    return _cluster(molecules, "inchikey", "smiles", similarity)


def _cluster(molecules: pl.DataFrame, key: str, structure: str, similarity: float) -> NDArray[np.intp]:
    """Cluster the distinct values of `key`, the frequent first, by the fingerprints of their structures."""
    distinct = (
        molecules.group_by(key)
        .agg(pl.len().alias("rows"), pl.col(structure).min().alias("structure"))
        .sort(["rows", key], descending=[True, False])
    )
    _refuse_too_many(distinct.height, key)
    clusters = similarity_clusters(sparse_morgan_fingerprints(distinct["structure"]), similarity)
    cluster_of = distinct.select(key, cluster=pl.Series(clusters, dtype=pl.Int64))
    joined = molecules.select(key).join(cluster_of, on=key, how="left", maintain_order="left")
    return joined["cluster"].to_numpy().astype(np.intp)


def _refuse_too_many(count: int, key: str) -> None:
    if count > CLUSTERING_LIMIT:
        what = "scaffolds" if key == "scaffold" else "molecules"
        raise ParameterError(
            f"prepare.split clusters similar {what}, at most {CLUSTERING_LIMIT:,} of them; these are "
            f"{count:,}. Use prepare.split=scaffold, or file for a split that was made elsewhere"
        )
