"""Parts of the judged molecules."""

import numpy as np
import pytest

from unimol2_tasks.evaluation.groups import (
    Grouping,
    by_novelty,
    by_scaffold_cluster,
    by_similarity,
    by_size,
    group_table,
)
from unimol2_tasks.evaluation.metrics import regression_metrics

RANDOM = np.random.default_rng(0)
SCAFFOLDS = [["c1ccccc1", "", "C1CC1", "C1CCC1"][k] for k in RANDOM.integers(0, 4, 60)] + ["C1CCCC1"] * 2


@pytest.mark.parametrize(
    "grouping",
    [
        by_size(RANDOM.integers(5, 30, 62)),
        by_size(np.full(62, 9)),
        by_scaffold_cluster(SCAFFOLDS),
        by_novelty(RANDOM.random(62) < 0.5),
        by_similarity(RANDOM.random(62)),
        by_similarity(np.array([0.0, 0.3, 0.7, 1.0] * 15 + [0.5, 0.5], np.float32)),
    ],
    ids=["size", "one size", "scaffold cluster", "novelty", "similarity", "edges"],
)
def test_every_molecule_is_in_one_part(grouping: Grouping) -> None:
    assert np.sum(list(grouping.members.values()), axis=0).tolist() == [1] * 62


def test_parts_of_equal_size_say_which_sizes() -> None:
    assert list(by_size(np.array([5, 6, 7, 8, 9, 10, 11, 12])).members) == [
        "5 to 6",
        "7 to 8",
        "9 to 10",
        "11 to 12",
    ]
    assert list(by_size(np.array([9, 9, 9])).members) == ["9"]


def test_large_clusters_come_first_and_rare_ones_together() -> None:
    members = by_scaffold_cluster(["c1ccccc1"] * 9 + [""] * 6 + ["C1CC1"] * 2).members
    assert {name: int(inside.sum()) for name, inside in members.items()} == {
        "c1ccccc1": 9, "acyclic": 6, "other clusters": 2,
    }  # fmt: skip


def test_a_similarity_at_an_edge_belongs_to_the_part_above() -> None:
    members = by_similarity(np.array([0.3, 0.7, 1.0], np.float32)).members
    assert members["0.3 to 0.4"].tolist() == [True, False, False]
    assert members["0.7 and above"].tolist() == [False, True, True]


def test_a_part_is_scored_by_its_own_molecules_and_only_where_it_has_labels() -> None:
    true = np.array([1.0, 2.0, np.nan, np.nan, 5.0])
    pred = np.array([1.5, 2.5, 0.0, 0.0, 4.0])
    grouping = Grouping(
        "x", "X", {"a": np.arange(5) < 2, "unlabelled": np.isin(np.arange(5), [2, 3]), "b": np.arange(5) > 2}
    )
    table = group_table(grouping, "regression", true, {"model": pred}, seed=0, samples=20)
    assert [(score.group, score.n) for score in table.scores] == [("a", 2), ("b", 1)]
    assert table.scores[0].metrics["model"] == regression_metrics(true[:2], pred[:2])
    assert table.scores[0].intervals["model"]["mae"] == (0.5, 0.5)
    assert table.scores[0].intervals["model"].keys() >= {"rmse", "rmae"}
    # One molecule cannot be resampled.
    assert table.scores[1].intervals["model"] == {}
