"""Which molecules share a batch."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unimol2_model import batch_by_pairs

sizes = st.lists(st.integers(1, 200), max_size=60)
budgets = st.integers(1, 2**17)


def _pairs(atoms: list[int], batch: list[int]) -> int:
    return len(batch) * (max(atoms[index] for index in batch) + 1) ** 2


@given(atoms=sizes, budget=budgets)
def test_every_molecule_is_in_one_batch_and_small_ones_come_first(atoms: list[int], budget: int) -> None:
    batches = batch_by_pairs(atoms, budget)
    assert [index for batch in batches for index in batch] == np.argsort(atoms, kind="stable").tolist()


@given(atoms=sizes, budget=budgets)
def test_batches_are_as_large_as_the_budget_allows(atoms: list[int], budget: int) -> None:
    batches = batch_by_pairs(atoms, budget)
    assert all(len(batch) == 1 or _pairs(atoms, batch) <= budget for batch in batches)
    for batch, following in pairwise(batches):
        assert _pairs(atoms, [*batch, following[0]]) > budget


@given(atoms=sizes, budget=budgets)
def test_with_buckets_the_padded_size_counts(atoms: list[int], budget: int) -> None:
    padded = [next(bucket for bucket in (10, 60, 200) if n <= bucket) for n in atoms]
    batches = batch_by_pairs(atoms, budget, buckets=[60, 10, 200])
    assert sorted(index for batch in batches for index in batch) == list(range(len(atoms)))
    assert all(len(batch) == 1 or _pairs(padded, batch) <= budget for batch in batches)


def test_the_molecule_token_counts() -> None:
    assert batch_by_pairs(np.array([9, 9, 3], dtype=np.uint8), 200) == [[2, 0], [1]]


@pytest.mark.parametrize(
    ("atoms", "budget", "buckets", "message"),
    [
        ([3], 0, None, "budget: expected at least 1 pair, got 0"),
        ([3, 0], 9, None, "molecule 1 has 0"),
        ([3], 9, [], r"buckets: .* got \[\]"),
        ([3], 9, [0, 4], r"buckets: .* got \[0, 4\]"),
        ([3, 250], 9, [200, 50], "molecule 1 has 250 atoms, the limit is 200"),
    ],
)
def test_the_impossible_is_refused(
    atoms: list[int], budget: int, buckets: list[int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        batch_by_pairs(atoms, budget, buckets=buckets)


def test_planning_batches_does_not_import_torch() -> None:
    program = (
        "import sys, unimol2_model; unimol2_model.batch_by_pairs([3], 9); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
