import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unimol2_tasks.chemistry.balanced_split import TEST, VALID, wanted_sizes
from unimol2_tasks.chemistry.splits import assign_splits
from unimol2_tasks.chemistry.stratified_split import QUANTILES, stratified_split
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import PrepareParams

VALUES = np.random.default_rng(0).lognormal(size=1000)


def _table(**labels: "np.ndarray | list[float | None]") -> pl.DataFrame:
    count = len(next(iter(labels.values()), ()))
    keys = {"id": [f"m{i}" for i in range(count)], "inchikey": [f"{i:014d}" for i in range(count)]}
    return pl.DataFrame(
        keys | {f"label:{name}": pl.Series(values, dtype=pl.Float64) for name, values in labels.items()}
    )


def _splits(molecules: pl.DataFrame, label: str | None = None, **params: float) -> np.ndarray:
    chosen = PrepareParams.model_validate({"split": "stratified", "split_label": label, **params})
    return np.array(assign_splits(molecules, chosen).splits)


def test_every_tenth_of_the_label_gives_the_same_shares() -> None:
    splits = _splits(_table(y=VALUES), test_fraction=0.2)
    tenths = np.argsort(np.argsort(VALUES)) // 100
    for tenth in range(10):
        inside = splits[tenths == tenth]
        assert [(inside == name).sum() for name in ("train", "valid", "test")] == [70, 10, 20]


def test_totals_are_exact_where_tenths_cannot_be() -> None:
    splits = _splits(_table(y=VALUES[:57]), valid_fraction=0.1, test_fraction=0.15)
    assert [(splits == name).sum() for name in ("train", "valid", "test")] == [42, 6, 9]


@pytest.mark.parametrize(("count", "sizes"), [(3, (1, 1, 1)), (10, (8, 1, 1)), (20, (16, 2, 2))])
def test_no_part_of_a_small_table_is_empty(count: int, sizes: tuple[int, int, int]) -> None:
    splits = _splits(_table(y=VALUES[:count]), valid_fraction=0.1, test_fraction=0.1)
    assert tuple((splits == name).sum() for name in ("train", "valid", "test")) == sizes


_SHARES = st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.2, 0.33, 0.4])


@given(st.integers(3, 300), _SHARES, _SHARES, st.integers(0, 9))
def test_sizes_are_the_wanted_ones_and_every_stratum_gives_its_share(
    count: int, valid_fraction: float, test_fraction: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    parts = stratified_split(order, count, valid_fraction, test_fraction, rng)
    _, valid, test = wanted = wanted_sizes(count, valid_fraction, test_fraction)
    assert tuple(np.bincount(parts, minlength=3)) == wanted
    for stratum in np.array_split(parts[order], min(QUANTILES, count)):
        tests, valids = (stratum == TEST).sum(), (stratum == VALID).sum()
        assert abs(tests - len(stratum) * test / count) < 1
        # Of what the test has left.
        assert abs(valids - (len(stratum) - tests) * valid / (count - test)) < 1


@pytest.mark.parametrize(("count", "fractions"), [(10, (0.1, 0.1)), (57, (0.1, 0.1)), (100, (0.05, 0.05))])
def test_no_place_in_the_order_is_held_out_more_often_than_another(
    count: int, fractions: tuple[float, float]
) -> None:
    draws = 300
    order, valid_fraction, test_fraction = np.arange(count), *fractions
    parts = np.stack(
        [
            stratified_split(order, count, valid_fraction, test_fraction, np.random.default_rng(seed))
            for seed in range(draws)
        ]
    )
    for part in (TEST, VALID):
        ranks = np.nonzero(parts == part)[1] / (count - 1)
        # Of uniform draws the mean scatters by 0.29 / √n.
        assert abs(ranks.mean() - 0.5) < 4 * 0.29 / math.sqrt(draws)


def test_a_rare_class_is_in_every_part() -> None:
    classes = np.zeros(500)
    classes[::10] = 1
    splits = _splits(_table(active=classes), valid_fraction=0.2, test_fraction=0.2)
    positives = [classes[splits == name].sum() for name in ("train", "valid", "test")]
    np.testing.assert_allclose(positives, [30, 10, 10], atol=2)


def test_molecules_without_the_label_train() -> None:
    values = [None if i % 4 == 0 else math.nan if i % 4 == 1 else float(i) for i in range(400)]
    molecules = _table(y=values)
    splits = _splits(molecules, test_fraction=0.25)
    unknown = np.arange(400) % 4 < 2
    assert set(splits[unknown]) == {"train"}
    assert (splits == "test").sum() == 50
    folds = assign_splits(molecules, PrepareParams(split="stratified", folds=5)).folds
    assert folds is not None
    assert np.bincount(folds[~unknown]).tolist() == [40] * 5
    assert folds[unknown].min() == 2


def test_folds_have_the_same_distribution() -> None:
    folds = assign_splits(_table(y=VALUES), PrepareParams(split="stratified", folds=5)).folds
    medians = [np.median(VALUES[folds == fold]) for fold in range(5)]
    np.testing.assert_allclose(medians, np.median(VALUES), rtol=0.02)


def test_the_label_must_be_known() -> None:
    both = _table(a=VALUES, b=-VALUES)
    with pytest.raises(ParameterError, match=r"needs prepare\.split_label.*labels: a, b"):
        _splits(both)
    with pytest.raises(ParameterError, match=r"split_label=c: no such label; labels: a, b"):
        _splits(both, "c")
    assert len(_splits(both, "b")) == 1000
    with pytest.raises(ParameterError, match="labels: none"):
        _splits(_table())
    with pytest.raises(ParameterError, match="no molecule has a value of y"):
        _splits(_table(y=[None, None]))
    with pytest.raises(ParameterError, match=r"folds=5, but only 2 molecules have the label"):
        _splits(_table(y=[1.0, None, 2.0]), folds=5)
