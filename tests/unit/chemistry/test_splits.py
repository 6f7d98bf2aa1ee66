from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from unimol2_tasks.chemistry.scaffolds import murcko_scaffold
from unimol2_tasks.chemistry.splits import SPLITS, assign_splits
from unimol2_tasks.params import SplitKind

scaffold_lists = st.lists(
    st.integers(0, 60).map(lambda number: f"scaffold {number}"), min_size=1, max_size=300
)


@given(scaffolds=scaffold_lists, seed=st.integers(0, 1000))
def test_a_scaffold_never_lies_in_two_splits(scaffolds: list[str], seed: int) -> None:
    splits = assign_splits("scaffold", scaffolds, 0.1, 0.1, seed)
    assert len(splits) == len(scaffolds)
    assert len(set(zip(scaffolds, splits, strict=True))) == len(set(scaffolds))


@given(scaffolds=scaffold_lists, kind=st.sampled_from(["random", "scaffold"]))
def test_every_wanted_split_gets_something_where_groups_suffice(
    scaffolds: list[str], kind: SplitKind
) -> None:
    splits = assign_splits(kind, scaffolds, 0.1, 0.1, 0)
    groups = len(scaffolds) if kind == "random" else len(set(scaffolds))
    assert len(set(splits)) == min(groups, 3)
    assert "train" in splits


@pytest.mark.parametrize("kind", ["random", "scaffold"])
def test_fractions_are_met(kind: SplitKind) -> None:
    scaffolds = [f"common {i % 3}" for i in range(450)] + [f"rare {i // 2}" for i in range(550)]
    sizes = Counter(assign_splits(kind, scaffolds, 0.1, 0.2, seed=5))
    assert [sizes[split] for split in SPLITS] == [700, 100, 200]


def test_large_groups_train() -> None:
    scaffolds = [""] * 40 + [f"rare {i}" for i in range(60)]
    splits = assign_splits("scaffold", scaffolds, 0.1, 0.1, seed=0)
    assert set(splits[:40]) == {"train"}


def test_nothing_is_held_out_unless_it_is_wanted() -> None:
    assert set(assign_splits("random", [""] * 50, 0.0, 0.0, 0)) == {"train"}
    assert set(assign_splits("scaffold", ["a", "b", "c"], 0.0, 0.3, 0)) == {"train", "test"}


def test_the_seed_decides() -> None:
    scaffolds = [f"s{i}" for i in range(100)]
    first = assign_splits("scaffold", scaffolds, 0.1, 0.1, seed=1)
    assert first == assign_splits("scaffold", scaffolds, 0.1, 0.1, seed=1)
    assert first != assign_splits("scaffold", scaffolds, 0.1, 0.1, seed=2)


@given(order=st.permutations(range(30)))
def test_scaffold_splits_do_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    scaffolds = [f"s{i % 12}" for i in range(30)]
    straight = dict(zip(scaffolds, assign_splits("scaffold", scaffolds, 0.2, 0.2, 0), strict=True))
    shuffled = [scaffolds[place] for place in order]
    assert dict(zip(shuffled, assign_splits("scaffold", shuffled, 0.2, 0.2, 0), strict=True)) == straight


@pytest.mark.parametrize(
    ("smiles", "scaffold"),
    [("CCO", ""), ("CCc1ccccc1", "c1ccccc1"), ("C[C@H]1CCCN1Cc1ccccc1", "c1ccc(CN2CCCC2)cc1")],
)
def test_murcko_scaffolds(smiles: str, scaffold: str) -> None:
    assert murcko_scaffold(Chem.MolFromSmiles(smiles)) == scaffold
