"""Which values a search tries."""

from typing import Any

import pytest

from unimol2_tasks.params import SearchParams, parse_params
from unimol2_tasks.stages.hyperparameters.proposals import Told, Values, propose

RANGES = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "batch_size": {"low": 8, "high": 64, "step": 8},
    "head_dropout": [0.0, 0.1],
}
CHOICES = {"learning_rate": [1e-4, 2e-4, 4e-4], "batch_size": [32, 64]}


def settings(sampler: str, space: Any = CHOICES, **values: Any) -> SearchParams:
    return parse_params({"search": {"sampler": sampler, "space": space, **values}}).search


def all_of(search: SearchParams, loss: Any = lambda values: None) -> list[Values]:
    """The proposals of a whole search whose trials end with these losses."""
    told: list[Told] = []
    while proposals := propose(search, told):
        told += [Told(values, loss(values)) for values in proposals]
    return [trial.values for trial in told]


def test_a_grid_has_every_combination_once_in_an_order_of_the_seed() -> None:
    found = all_of(settings("grid", trials=100))
    assert len(found) == 6
    assert {(values["learning_rate"], values["batch_size"]) for values in found} == {
        (rate, size) for rate in (1e-4, 2e-4, 4e-4) for size in (32, 64)
    }
    assert found == all_of(settings("grid", trials=100))
    assert found != all_of(settings("grid", trials=100, seed=1))


def test_a_grid_that_is_cut_off_is_the_beginning_of_the_whole() -> None:
    assert all_of(settings("grid", trials=4)) == all_of(settings("grid", trials=6))[:4]


def test_more_random_trials_begin_with_the_same() -> None:
    few, many = (all_of(settings("random", RANGES, trials=trials)) for trials in (5, 8))
    assert many[:5] == few
    assert len(many) == 8


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_proposals_stay_in_their_ranges(sampler: str) -> None:
    for values in all_of(settings(sampler, RANGES, trials=30), lambda values: float(values["learning_rate"])):
        assert 1e-5 <= float(str(values["learning_rate"])) <= 1e-2
        assert values["batch_size"] in range(8, 65, 8)
        assert isinstance(values["batch_size"], int)
        assert values["head_dropout"] in (0.0, 0.1)


def test_tpe_learns_where_it_is_good_and_stays_away_from_failures() -> None:
    def loss(values: Any) -> float | None:
        # Half of the range, in decades, diverges.
        return None if values["learning_rate"] > 3e-4 else abs(values["learning_rate"] - 1e-4)

    found = [
        float(str(values["learning_rate"])) for values in all_of(settings("tpe", RANGES, trials=40), loss)
    ]
    first, last = found[:10], found[-15:]
    assert sum(rate > 3e-4 for rate in first) >= 3
    assert sum(rate > 3e-4 for rate in last) <= 3
    assert sum(3e-5 < rate < 3e-4 for rate in last) >= 10


def test_tpe_proposes_the_same_whichever_process_was_told_the_results() -> None:
    def loss(values: Any) -> float:
        return abs(float(values["learning_rate"]) - 1e-4)

    search = settings("tpe", RANGES, trials=16, parallel=4)
    found = all_of(search, loss)
    told = [Told(values, loss(values)) for values in found[:12]]
    assert propose(search, told) == found[12:]
    assert propose(settings("tpe", RANGES, trials=16, parallel=4, seed=1), told) != found[12:]
