"""Parts of the molecules that are scored by themselves: splits, scaffolds, sizes, similarities."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.chemistry.clustering import BUTINA_LIMIT, butina_clusters
from unimol2_tasks.chemistry.drawing import draw_svg
from unimol2_tasks.chemistry.fingerprints import sparse_morgan_fingerprints
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.split_names import SPLITS
from unimol2_tasks.datasets.parts import parts_of
from unimol2_tasks.evaluation.groups import (
    Grouping,
    GroupTable,
    by_novelty,
    by_scaffold_cluster,
    by_similarity,
    by_size,
    group_table,
)
from unimol2_tasks.params import EvaluateParams
from unimol2_tasks.stages.evaluation.asked import Array, Asked
from unimol2_tasks.stages.evaluation.judged import Judged
from unimol2_tasks.stages.evaluation.neighbours import Neighbours
from unimol2_tasks.training.targets import Target

_SCAFFOLD_SIZE = (200, 120)


def group_tables(
    judged: Judged,
    predictor: Asked,
    groupings: Sequence[Grouping],
    target: Target,
    methods: Mapping[str, Array],
    params: EvaluateParams,
) -> list[GroupTable]:
    """The scores of every part.

    Args:
        judged: The judged molecules.
        predictor: The predictor that is judged.
        groupings: Of the judged molecules, whatever the target is.
        target: What is predicted.
        methods: `[m]` or `[m, K]` predictions by method, the predictor's first.
        params: Seed and resamples.
    """
    place = judged.targets.names.index(target.name)
    labels = judged.labels[:, place]
    first = next(iter(methods))
    everywhere = predictor.values[:, judged.targets.columns_of(target.name)]
    everywhere = everywhere if target.kind == "multiclass" else everywhere[:, 0]
    score = partial(group_table, kind=target.kind, seed=params.seed, samples=params.bootstrap)
    own = labels[judged.indices]
    is_own = predictor.candidate.is_own
    # What another dataset's predictor has seen cannot be told from this one.
    novelty = [_novelty(judged, labels)] if is_own and judged.split != "train" else []
    return [
        score(_splits(judged, is_own), y_true=labels, predictions={first: everywhere}),
        *(
            score(grouping, y_true=own, predictions=methods, drawings=_drawings(grouping))
            for grouping in (*novelty, *groupings)
        ),
    ]


def _splits(judged: Judged, is_own: bool) -> Grouping:
    """Of the whole dataset: its splits and what they were to the predictor; or the folds, out of fold."""
    n = len(judged.dataset)
    if judged.split:
        was = {"train": "train, learnt from", "valid": "valid, chosen by"} if is_own else {}
        members = {was.get(split, split): _mask(n, judged.dataset.indices(split)) for split in SPLITS}
        return Grouping("split", "Split", members)
    parts = {int(judged.dataset.folds[part[0]]): part for part, _ in judged.parts}
    return Grouping(
        "split",
        "Fold, by networks that have not seen it",
        {f"fold {k}": _mask(n, part) for k, part in parts.items()},
    )


def groupings(judged: Judged, neighbours: Neighbours) -> list[Grouping]:
    """Ways to part the judged molecules that are the same for every target.

    Args:
        judged: The judged molecules.
        neighbours: Their nearest training molecules.
    """
    dataset = judged.dataset
    scaffolds = [dataset.scaffold(int(index)) for index in judged.indices]
    similarity: float = judged.artifact.manifest.params["split_similarity"]
    return [
        by_similarity(neighbours.similarity),
        by_size(dataset.atoms[judged.indices]),
        by_scaffold_cluster(_leaders(scaffolds, similarity)),
    ]


def _leaders(scaffolds: Sequence[str], similarity: float) -> list[str]:
    """The most frequent scaffold of each one's cluster, which is as a split by similar scaffolds makes it.

    Of very many scaffolds the rarest lead themselves, for clustering takes the square of their number.
    """
    counts = Counter(text for text in scaffolds if text)
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[:BUTINA_LIMIT]
    clusters = butina_clusters(sparse_morgan_fingerprints(frequent), similarity).tolist()
    first: dict[int, str] = {}
    known = {text: first.setdefault(cluster, text) for text, cluster in zip(frequent, clusters, strict=True)}
    return [known.get(text, text) for text in scaffolds]


def _novelty(judged: Judged, labels: Array) -> Grouping:
    """By whether a molecule that taught the network this label has the same scaffold."""
    dataset = judged.dataset
    seen = np.zeros(len(judged.indices), bool)
    for part, _ in judged.parts:
        train = parts_of(dataset, None if judged.split else int(dataset.folds[part[0]])).train
        taught = train[~np.isnan(labels[train])]
        seen[judged.places(part)] = np.isin(dataset.scaffold_codes[part], dataset.scaffold_codes[taught])
    return by_novelty(seen)


def _drawings(grouping: Grouping) -> dict[str, str]:
    if not grouping.structures:
        return {}
    drawings = {}
    for name in grouping.members:
        try:
            drawings[name] = draw_svg(name, _SCAFFOLD_SIZE)
        except Rejected:
            # No structure: "acyclic", "other clusters", or a scaffold that RDKit cannot kekulise.
            continue
    return drawings


def _mask(n: int, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(n, bool)
    mask[positions] = True
    return mask
