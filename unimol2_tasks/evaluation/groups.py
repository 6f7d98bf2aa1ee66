"""Which molecules a model is good at: scores of parts of the judged molecules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from unimol2_tasks.evaluation.binning import equal_mass_bins
from unimol2_tasks.evaluation.bootstrap import bootstrap_intervals
from unimol2_tasks.evaluation.labels import Interval, TargetKind
from unimol2_tasks.evaluation.metrics import METRICS

BoolArray = npt.NDArray[np.bool_]

_MOST_CLUSTERS = 6
_LEAST_MOLECULES = 5
"""Of a cluster that is listed: fewer say nothing about it."""
_SIZES = 4
_SIMILARITIES = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Tanimoto similarities of 2,048-bit Morgan fingerprints of radius 2: unrelated below 0.3, close
analogues above 0.7."""


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """One way to part molecules."""

    name: str
    """`split`, `scaffold_cluster`, `novelty`, `size` or `similarity`."""
    title: str
    """What a reader sees above the parts."""
    members: Mapping[str, BoolArray]
    """[n] which molecules are in each part, by the part's name; a part need not hold any."""
    structures: bool = False
    """Whether the parts' names are SMILES."""


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The scores of each method on one part."""

    group: str
    n: int
    """Labelled molecules of the part."""
    metrics: Mapping[str, Mapping[str, float]]
    """Values by method and metric."""
    intervals: Mapping[str, Mapping[str, Interval]]
    """95 % intervals by method and metric; empty where none were asked for."""
    drawing_svg: str = ""
    """The part as a structure, where it is one."""


@dataclass(frozen=True, slots=True)
class GroupTable:
    """The scores of all parts."""

    name: str
    title: str
    scores: Sequence[GroupScore]


def by_size(atoms: npt.NDArray[np.integer]) -> Grouping:
    """Part molecules into quarters by heavy atoms; equal sizes stay together.

    Args:
        atoms: [n] heavy atoms of each molecule.
    """
    part = equal_mass_bins(atoms, _SIZES)
    members = {}
    for k in np.unique(part):
        inside = part == k
        low, high = int(atoms[inside].min()), int(atoms[inside].max())
        members[f"{low}" if low == high else f"{low} to {high}"] = inside
    return Grouping("size", "Heavy atoms", members)


def by_scaffold_cluster(leaders: Sequence[str]) -> Grouping:
    """Part molecules by the clusters of similar Murcko scaffolds: the largest ones, then all others together.

    Args:
        leaders: [n] SMILES of the most frequent scaffold of each molecule's cluster; empty for an acyclic
            molecule.
    """
    texts = np.array(leaders, object)
    largest = [
        text
        for text, count in sorted(Counter(leaders).items(), key=lambda item: (-item[1], item[0]))
        if count >= _LEAST_MOLECULES
    ][:_MOST_CLUSTERS]
    members = {text or "acyclic": texts == text for text in largest}
    if largest:
        members["other clusters"] = ~np.isin(texts, largest)
    title = "Largest clusters of similar scaffolds, by their most frequent one"
    return Grouping("scaffold_cluster", title, members, structures=True)


def by_novelty(seen: BoolArray) -> Grouping:
    """Part molecules by whether a training molecule has the same Murcko scaffold.

    Args:
        seen: [n] which molecules' scaffolds are among those of the training molecules.
    """
    return Grouping("novelty", "Scaffold", {"seen in training": seen, "new": ~seen})


def by_similarity(similarity: npt.ArrayLike) -> Grouping:
    """Part molecules by their similarity to the nearest training molecule.

    Args:
        similarity: [n] Tanimoto similarities.
    """
    # Rounded: 0.3 as float32 is above 0.3.
    values = np.round(np.asarray(similarity, np.float64), 6)
    edges = (0.0, *_SIMILARITIES, 1.0)
    members = {}
    for low, high in pairwise(edges):
        is_last = high == edges[-1]
        name = f"{low:g} and above" if is_last else f"below {high:g}" if not low else f"{low:g} to {high:g}"
        members[name] = (values >= low) & ((values < high) | is_last)
    return Grouping("similarity", "Similarity to the nearest training molecule", members)


def group_table(
    grouping: Grouping,
    kind: TargetKind,
    y_true: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike],
    seed: int,
    samples: int,
    drawings: Mapping[str, str] | None = None,
) -> GroupTable:
    """Score every part that holds a labelled molecule.

    Args:
        grouping: Parts of n molecules.
        kind: What is predicted.
        y_true: Labels, [n]; NaN where missing.
        predictions: Of each method by its name, [n] or [n, K].
        seed: Seed of the resampling.
        samples: Resamples for the intervals; 0: no intervals.
        drawings: Structures by the name of the part, as SVG documents.
    """
    measure = METRICS[kind]
    true = np.asarray(y_true, np.float64)
    scores = []
    for name, inside in grouping.members.items():
        labels = true[inside]
        if np.isnan(labels).all():
            continue
        chosen = {method: np.asarray(values)[inside] for method, values in predictions.items()}
        scores.append(
            GroupScore(
                name,
                int((~np.isnan(labels)).sum()),
                {method: measure(labels, values) for method, values in chosen.items()},
                {
                    method: bootstrap_intervals(measure, labels, values, seed, samples) if samples else {}
                    for method, values in chosen.items()
                },
                (drawings or {}).get(name, ""),
            )
        )
    return GroupTable(grouping.name, grouping.title, scores)
