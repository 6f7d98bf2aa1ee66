from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unimol2_tasks.chemistry.balanced_split import balanced_folds
from unimol2_tasks.chemistry.splits import SPLITS, assign_splits
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import PrepareParams, SplitKind

MADE: tuple[SplitKind, ...] = ("random", "scaffold", "scaffold-similarity", "butina", "stratified")
CHAINS = [f"{'C' * length}{end}" for length in range(1, 9) for end in ("O", "N", "F", "S")]
RINGS = [f"{'C' * length}{ring}" for length in range(8) for ring in ("c1ccccc1", "C1CCNCC1", "c1ccsc1")]
SCAFFOLDS = [""] * len(CHAINS) + ["c1ccccc1", "C1CCNCC1", "c1ccsc1"] * 8

scaffold_lists = st.lists(
    st.integers(0, 60).map(lambda number: f"scaffold {number}"), min_size=1, max_size=300
)


def table(scaffolds: list[str], smiles: list[str] | None = None) -> pl.DataFrame:
    """Molecules with these scaffolds, and a label that rises from row to row."""
    count = len(scaffolds)
    return pl.DataFrame(
        {
            "id": [f"m{row}" for row in range(count)],
            "smiles": smiles or ["C"] * count,
            # Neither the order of the rows nor that of the label.
            "inchikey": [f"{row * 7919 % 10007:014d}-AAAAAAAAAA-N" for row in range(count)],
            "scaffold": scaffolds,
            "split": pl.Series([None] * count, dtype=pl.String),
            "label:y": np.arange(count, dtype=np.float64),
        }
    )


MOLECULES = table(SCAFFOLDS, CHAINS + RINGS)


def split(molecules: pl.DataFrame, kind: SplitKind, **params: Any) -> list[str]:
    return list(assign_splits(molecules, PrepareParams(split=kind, **params)).splits)


@given(scaffolds=scaffold_lists, seed=st.integers(0, 1000))
def test_a_scaffold_never_lies_in_two_splits(scaffolds: list[str], seed: int) -> None:
    splits = split(table(scaffolds), "scaffold", seed=seed)
    assert len(splits) == len(scaffolds)
    assert len(set(zip(scaffolds, splits, strict=True))) == len(set(scaffolds))


@given(scaffolds=scaffold_lists, kind=st.sampled_from(["random", "scaffold"]))
def test_every_wanted_split_gets_something_where_groups_suffice(
    scaffolds: list[str], kind: SplitKind
) -> None:
    splits = split(table(scaffolds), kind)
    groups = len(scaffolds) if kind == "random" else len(set(scaffolds))
    assert len(set(splits)) == min(groups, 3)
    assert "train" in splits


@pytest.mark.parametrize("kind", ["random", "scaffold"])
def test_fractions_are_met(kind: SplitKind) -> None:
    scaffolds = [f"common {i % 3}" for i in range(450)] + [f"rare {i // 2}" for i in range(550)]
    sizes = Counter(split(table(scaffolds), kind, valid_fraction=0.1, test_fraction=0.2, seed=5))
    assert [sizes[name] for name in SPLITS] == [700, 100, 200]


def test_large_groups_train() -> None:
    scaffolds = [""] * 40 + [f"rare {i}" for i in range(60)]
    assert set(split(table(scaffolds), "scaffold")[:40]) == {"train"}


@pytest.mark.parametrize("kind", ["random", "scaffold", "stratified"])
def test_nothing_is_held_out_unless_it_is_wanted(kind: SplitKind) -> None:
    scaffolds = [f"s{i}" for i in range(50)]
    assert set(split(table(scaffolds), kind, valid_fraction=0, test_fraction=0)) == {"train"}
    assert set(split(table(scaffolds), kind, valid_fraction=0, test_fraction=0.3)) == {"train", "test"}


@pytest.mark.parametrize("kind", MADE)
def test_the_seed_decides(kind: SplitKind) -> None:
    assert split(MOLECULES, kind, seed=1) == split(MOLECULES, kind, seed=1)
    assert len({tuple(split(MOLECULES, kind, seed=seed)) for seed in range(4)}) > 1


@pytest.mark.parametrize("folds", [None, 4])
@pytest.mark.parametrize("kind", MADE)
def test_splits_do_not_depend_on_the_order_of_rows(kind: SplitKind, folds: int | None) -> None:
    # Equal labels, so that chance decides among them.
    molecules = MOLECULES.with_columns(pl.col("label:y") // 8)
    shuffled = molecules.sample(fraction=1, shuffle=True, seed=3)
    straight = dict(zip(molecules["id"], split(molecules, kind, folds=folds), strict=True))
    assert dict(zip(shuffled["id"], split(shuffled, kind, folds=folds), strict=True)) == straight


@pytest.mark.parametrize("kind", MADE)
def test_folds_hold_everybody_once_and_name_the_splits(kind: SplitKind) -> None:
    assigned = assign_splits(MOLECULES, PrepareParams(split=kind, folds=4))
    assert assigned.folds is not None
    names = {0: "test", 1: "valid", 2: "train", 3: "train"}
    assert assigned.splits == [names[fold] for fold in assigned.folds.tolist()]
    assert set(assigned.folds.tolist()) == set(names)


def test_folds_are_even() -> None:
    scaffolds = [f"common {i % 3}" for i in range(300)] + [f"rare {max(i // 2, i - 200)}" for i in range(703)]
    kinds: tuple[SplitKind, ...] = ("random", "scaffold")
    for kind in kinds:
        folds = assign_splits(table(scaffolds), PrepareParams(split=kind, folds=5)).folds
        assert folds is not None
        assert sorted(np.bincount(folds).tolist()) == [200, 200, 201, 201, 201]


@given(
    groups=st.lists(st.integers(0, 40), min_size=40, max_size=200),
    folds=st.integers(3, 6),
    seed=st.integers(0, 9),
)
def test_groups_never_cross_folds(groups: list[int], folds: int, seed: int) -> None:
    codes = np.unique(groups, return_inverse=True)[1].astype(np.intp)
    if codes.max() + 1 < folds:
        return
    chosen = balanced_folds(codes, folds, np.random.default_rng(seed))
    assert len(set(zip(codes.tolist(), chosen.tolist(), strict=True))) == codes.max() + 1
    assert len(set(chosen.tolist())) == folds


def test_the_largest_group_trains_where_fold_0_tests() -> None:
    scaffolds = [""] * 70 + [f"rare {i}" for i in range(30)]
    folds = assign_splits(table(scaffolds), PrepareParams(split="scaffold", folds=5)).folds
    assert folds is not None
    assert set(folds[:70].tolist()) == {4}


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"prepare\.folds=5, but only 3 groups"):
        split(table(["a", "b", "c"] * 20), "scaffold", folds=5)


def test_sizes_that_groups_do_not_allow_are_told(caplog: pytest.LogCaptureFixture) -> None:
    split(table(["a"] * 90 + ["b", "c"]), "scaffold")
    assert "too large to divide as wished: valid 1 instead of 9, test 1 instead of 9" in caplog.text
