"""The laws of the training order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unimol2_tasks.datasets.order import Order, Visit, micro_batches

MOLECULES = np.array([3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37])


SIZES = np.random.default_rng(0).integers(1, 30, MOLECULES.max() + 1)


def _order(seed: int = 0, sizes: NDArray[np.int64] | None = SIZES) -> Order:
    return Order(MOLECULES, seed, sizes)


def _global_batches(ranks: int, micro_batch: int, first: int, last: int) -> list[list[Visit]]:
    """The batches of 8 that all ranks see together, each sorted."""
    shares = [
        list(micro_batches(_order(), first, last, 8, micro_batch, rank, ranks)) for rank in range(ranks)
    ]
    passes = 8 // ranks // micro_batch
    return [
        sorted(
            (
                visit
                for share in shares
                for part in share[step * passes : (step + 1) * passes]
                for visit in part
            ),
            key=lambda visit: (visit.epoch, visit.index),
        )
        for step in range(last - first)
    ]


@pytest.mark.parametrize(("ranks", "micro_batch"), [(1, 8), (1, 2), (2, 4), (2, 1), (4, 2), (8, 1)])
def test_every_number_of_ranks_sees_the_same_global_batches(ranks: int, micro_batch: int) -> None:
    expected = [
        sorted(_order().batch(step, 8), key=lambda visit: (visit.epoch, visit.index)) for step in range(7)
    ]
    assert _global_batches(ranks, micro_batch, 0, 7) == expected


def test_every_forward_pass_is_full() -> None:
    parts = [part for rank in range(2) for part in micro_batches(_order(), 0, 9, 8, 2, rank, 2)]
    assert {len(part) for part in parts} == {2}
    assert len(parts) == 2 * 9 * 2


@given(batch_size=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_an_epoch_visits_every_molecule_once(batch_size: int, seed: int) -> None:
    steps = -(-3 * len(MOLECULES) // batch_size)
    order = _order(seed, sizes=None)
    visits = [visit for step in range(steps) for visit in order.batch(step, batch_size)]
    for epoch in range(3):
        assert sorted(visit.index for visit in visits if visit.epoch == epoch) == MOLECULES.tolist()


@given(batch_size=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_sorting_by_size_changes_the_company_and_not_the_visits(batch_size: int, seed: int) -> None:
    def seen(sizes: NDArray[np.int64] | None) -> Counter[Visit]:
        order = _order(seed, sizes)
        return Counter(visit for step in range(2 * 16) for visit in order.batch(step, batch_size))

    assert seen(SIZES) == seen(None)


def test_batches_of_similar_molecules_pad_less() -> None:
    sizes = np.random.default_rng(1).integers(5, 60, 5000)

    def padded(known: NDArray[np.int64] | None) -> int:
        """Places that 48 batches of 32 take, filled or not."""
        order = Order(np.arange(len(sizes)), 0, known)
        batches = ([visit.index for visit in order.batch(step, 32)] for step in range(48))
        return sum(len(batch) * int(sizes[batch].max()) for batch in batches)

    assert padded(sizes) < 0.65 * padded(None)


@given(step=st.integers(0, 10**6), seed=st.integers(0, 2**31))
def test_a_batch_depends_on_seed_and_step_alone(step: int, seed: int) -> None:
    wandering = _order(seed)
    wandering.batch(0, 8)
    wandering.batch(step + 5, 8)
    assert wandering.batch(step, 8) == _order(seed).batch(step, 8)


def test_a_resumed_run_goes_on_where_the_other_stopped() -> None:
    whole = list(micro_batches(_order(), 0, 10, 8, 4, 1, 2))
    assert list(micro_batches(_order(), 6, 10, 8, 4, 1, 2)) == whole[6:]


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    def sequence(seed: int, epoch: int) -> list[int]:
        return [visit.index for visit in _order(seed, sizes=None).batch(epoch, len(MOLECULES))]

    sequences = {tuple(sequence(seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(sequences) == 16


def test_a_batch_larger_than_the_split_repeats_it_over_epochs() -> None:
    counts = Counter(visit.index for visit in _order(sizes=None).batch(0, 3 * len(MOLECULES)))
    assert set(counts.values()) == {3}


def _drawing_order(seed: int = 0, sizes: NDArray[np.int64] | None = None) -> Order:
    weights = np.arange(len(MOLECULES), dtype=np.float64)
    return Order(MOLECULES, seed, sizes, weights / weights.sum())


def test_molecules_are_drawn_as_often_as_their_probabilities_say() -> None:
    steps, batch_size = 40, 1000
    order = _drawing_order()
    counts = Counter(visit.index for step in range(steps) for visit in order.batch(step, batch_size))
    expected = steps * batch_size * np.arange(len(MOLECULES)) / np.arange(len(MOLECULES)).sum()
    found = np.array([counts[int(index)] for index in MOLECULES])
    assert found[0] == 0
    assert np.abs(found - expected).max() < 5 * np.sqrt(expected.max())


@given(step=st.integers(0, 10**6), batch_size=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_a_drawn_batch_depends_on_seed_and_step_alone(step: int, batch_size: int, seed: int) -> None:
    wandering = _drawing_order(seed, SIZES)
    wandering.batch(step + 5, batch_size)
    assert wandering.batch(step, batch_size) == _drawing_order(seed, SIZES).batch(step, batch_size)


@given(batch_size=st.integers(1, 300))
def test_draws_are_one_sequence_however_it_is_cut(batch_size: int) -> None:
    order = _drawing_order()
    # Past the end of the draws of one generator.
    first = 4096 // batch_size - 1
    visits = [visit for step in range(first, first + 4) for visit in order.batch(step, batch_size)]
    alone = [order.batch(position, 1)[0] for position in range(first * batch_size, (first + 4) * batch_size)]
    assert visits == alone


def test_a_molecule_that_is_drawn_again_is_another_visit() -> None:
    visits = [visit for step in range(10) for visit in _drawing_order().batch(step, 100)]
    assert len(set(visits)) == 1000


def test_seeds_draw_differently() -> None:
    assert _drawing_order(1).batch(0, 50) != _drawing_order(2).batch(0, 50)


def test_probabilities_of_other_molecules_are_refused() -> None:
    with pytest.raises(ValueError, match=r"probabilities: expected shape \(11,\), got \(3,\)"):
        Order(MOLECULES, 0, None, np.ones(3))
