"""What a predictor's outputs are called, and how they become labels again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unimol2_tasks.params import PrepareParams
from unimol2_tasks.training.targets import Target, Targets

TARGETS = Targets(
    targets=(
        Target(name="solubility", kind="regression", scaling="standard", mean=-3.0, std=2.0),
        Target(name="site", kind="multiclass", classes=3),
        Target(name="toxic", kind="binary"),
        Target(name="clearance", kind="regression", scaling="log", mean=2.0, std=0.5),
        Target(name="raw", kind="regression"),
    ),
    prepare=PrepareParams(),
)
FINITE = st.floats(-1e3, 1e3)


def test_classes_have_a_column_each_and_all_else_one() -> None:
    assert TARGETS.columns == (
        "solubility", "site=0", "site=1", "site=2", "toxic", "clearance", "raw",
    )  # fmt: skip
    assert [TARGETS.columns_of(name) for name in TARGETS.names] == [
        slice(0, 1), slice(1, 4), slice(4, 5), slice(5, 6), slice(6, 7),
    ]  # fmt: skip


@given(solubility=FINITE, clearance=st.floats(1e-6, 1e6), raw=FINITE)
def test_scaled_labels_return_to_themselves(solubility: float, clearance: float, raw: float) -> None:
    scaled = [(solubility + 3.0) / 2.0, (np.log(clearance) - 2.0) / 0.5, raw]
    outputs = np.array([[scaled[0], 0, 0, 0, 0, scaled[1], scaled[2]]])
    natural = TARGETS.to_natural(outputs)[0]
    assert natural[[0, 5, 6]] == pytest.approx([solubility, clearance, raw], rel=1e-9, abs=1e-9)


@given(st.lists(FINITE, min_size=7, max_size=7))
def test_classes_are_probabilities_that_add_up_to_one(outputs: list[float]) -> None:
    natural = TARGETS.to_natural(np.array([[outputs]]))[0, 0]
    assert natural[1:4].sum() == pytest.approx(1.0)
    assert np.all((natural[1:5] >= 0) & (natural[1:5] <= 1))
    assert natural[1:4].argmax() == np.argmax(outputs[1:4]) or len(set(natural[1:4])) < 3


def test_certain_outputs_are_numbers_and_no_overflow() -> None:
    with np.errstate(over="raise", invalid="raise"):
        low, high = TARGETS.to_natural(np.array([[-1e4] * 7, [1e4] * 7]))
    assert (low[4], high[4]) == pytest.approx((0.0, 1.0))
    assert np.isfinite(high**2).all()


def test_targets_survive_their_file() -> None:
    assert Targets.model_validate_json(TARGETS.model_dump_json()) == TARGETS
