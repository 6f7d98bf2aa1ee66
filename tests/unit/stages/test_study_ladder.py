from typing import Any

import pytest

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import Params, load_params, parse_params
from unimol2_tasks.stages.study import ladder

SMALL = {"blocks": 1, "atom_dim": 16, "heads": 1, "ffn_dim": 16, "pair_dim": 8, "pair_hidden_dim": 4}
MIDDLE = {"blocks": 2, "atom_dim": 32, "heads": 2, "ffn_dim": 32, "pair_dim": 16, "pair_hidden_dim": 8}
TINY: dict[str, Any] = {}


def study(*sizes: dict[str, Any], **settings: Any) -> Params:
    model = {"preset": "tiny", "dropout": 0.0}
    return parse_params({"model": model, "study": {"sizes": list(sizes), **settings}})


def test_rungs_are_sorted_counted_and_named_by_their_size() -> None:
    rungs = ladder(study(TINY, SMALL, MIDDLE))
    assert [(rung.name, rung.parameters, rung.held_out) for rung in rungs] == [
        ("0.0413M", 41_258, False),
        ("0.0814M", 81_350, False),
        ("0.508M", 508_286, True),
    ]


def test_a_rung_has_what_its_size_leaves_out_from_the_model_and_no_study() -> None:
    smallest = ladder(study(TINY, SMALL, MIDDLE))[0].params
    assert smallest.model.dropout == 0.0
    assert smallest.model.blocks == 1
    assert smallest.study == Params().study


def test_another_ladder_leaves_a_rung_as_it_was() -> None:
    """So that its model, once trained, is found again."""
    assert (
        ladder(study(SMALL, MIDDLE, TINY))[1].params == ladder(study(MIDDLE, TINY, SMALL, seed=3))[1].params
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (study(SMALL, TINY), "study.sizes: 2 networks, of which 1 held out"),
        (study(SMALL, MIDDLE, TINY, held_out=2), "at least 2 must be left for the fit"),
        (study(SMALL, TINY, SMALL), "study.sizes.0 and study.sizes.2: two networks of 41,258 parameters"),
        (study(SMALL, {**MIDDLE, "heads": 3}, TINY), "study.sizes.1: model: heads: 3 heads do not divide"),
    ],
)
def test_impossible_ladders_are_refused(params: Params, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ladder(params)


def test_networks_of_nearly_the_same_size_are_two_and_have_two_names() -> None:
    """41,258 and 41,291 parameters: both 0.0413M."""
    rungs = ladder(study(SMALL, {**SMALL, "ffn_dim": 17}, MIDDLE, TINY))
    assert [rung.parameters for rung in rungs[:2]] == [41_258, 41_291]
    assert [rung.name for rung in rungs] == ["0.04126M", "0.04129M", "0.0814M", "0.508M"]


def test_an_unknown_key_of_a_size_is_named_with_its_place() -> None:
    with pytest.raises(ParameterError, match=r"study\.sizes\.1\.block: unknown key; did you mean blocks"):
        study(SMALL, {"block": 2})


def test_the_committed_study_spans_a_factor_of_thirty(project_root: Any) -> None:
    rungs = ladder(load_params(project_root / "docs" / "results" / "scaling.yaml"))
    assert len(rungs) == 6
    assert rungs[-1].parameters / rungs[0].parameters > 30
    assert [rung.held_out for rung in rungs] == [False] * 5 + [True]
