"""What a search may vary, and what is refused before anything is trained."""

from typing import Any

import pytest

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import Params, Range, SearchParams, load_params, parse_params


def search(**values: Any) -> SearchParams:
    return parse_params({"search": values}).search


def test_the_default_is_the_grid_of_the_paper(shared_dir: Any) -> None:
    (line,) = [
        line
        for line in (shared_dir / "reference" / "uni-mol2.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("Fine-tuning grid:")
    ]
    space = Params().search.space
    for words, key in (
        ("lr", "learning_rate"), ("batch", "batch_size"), ("epochs", "epochs"),
        ("pooler dropout", "head_dropout"), ("warm-up ratio", "warmup_ratio"),
    ):  # fmt: skip
        published = line.partition(f"{words} {{")[2].partition("}")[0]
        assert space[key] == tuple(float(value) for value in published.split(","))
    assert Params().search.combinations == 6 * 3 * 6 * 2 * 3


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rat": [1e-4]}, r"learning_rat: no key of finetune; did you mean learning_rate\?"),
        ({"colour": ["red"]}, "colour: no key of finetune; known: batch_size, "),
        ({"learning_rate": [1e-4, -1]}, "learning_rate: Input should be greater than 0, got -1"),
        ({"batch_size": [32, 1.5]}, "batch_size: Input should be a valid integer"),
        ({"precision": ["fp8"]}, "precision: Input should be 'fp32', 'bf16' or 'fp16', got 'fp8'"),
        ({"precision": {"low": 1, "high": 2}}, "precision: takes no numbers; list its choices"),
        ({"batch_size": {"low": 8, "high": 8.5}}, "batch_size: Input should be a valid integer"),
        ({"epochs": {"low": 9, "high": 3}}, "epochs: low 9 has to be below high 3"),
        ({"clip": {"low": 0, "high": 1, "log": True}}, "clip: low 0 has to be above 0 where log is true"),
        (
            {"epochs": {"low": 1, "high": 9, "step": 3}},
            "epochs: from low 1 to high 9 is no multiple of step 3",
        ),
        ({"epochs": {"low": 1, "hihg": 9}}, "epochs.high: Field required"),
        ({"epochs": []}, r"epochs: expected a list of choices or \{low, high\}, got \[\]"),
        ({"epochs": 40}, r"epochs: expected a list of choices or \{low, high\}, got 40"),
        ({"epochs": [40, 40]}, r"epochs: a choice is there twice: \[40, 40\]"),
        ({"targets": [["gap_eV"]]}, "targets: with another value of it validations cannot be compared"),
        ({"seed": [0, 1]}, "seed: with another value of it validations cannot be compared"),
        ({"regression_loss": ["l1", "mse"]}, "regression_loss: with another value of it validations"),
        ({"betas": [[0.9, 0.99]]}, "betas: its values are no single numbers or words"),
        ([], "expected keys of finetune, each with a list of choices"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_key(space: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=rf"search\.space: {message}"):
        search(sampler="tpe", space=space)


def test_a_grid_of_a_range_is_refused() -> None:
    with pytest.raises(ParameterError, match="a grid needs lists of choices, and learning_rate is a range"):
        search(space={"learning_rate": {"low": 1e-5, "high": 1e-3}})


def test_values_are_what_finetune_makes_of_them() -> None:
    # PyYAML takes 1e-4 for a word.
    params = load_params(None, ["search.space={learning_rate: [1e-4, 2e-4], ema_decay: [null, 0.999]}"])
    assert params.search.space == {"learning_rate": (1e-4, 2e-4), "ema_decay": (None, 0.999)}
    assert params.search.combinations == 4


def test_a_range_survives_being_written_and_read() -> None:
    space = {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "batch_size": [32, 64]}
    params = parse_params({"search": {"sampler": "tpe", "space": space}})
    assert params.search.space["learning_rate"] == Range(low=1e-5, high=1e-3, log=True)
    assert params.search.combinations is None
    assert parse_params(params.model_dump(mode="json")) == params
    assert Params.model_validate_json(params.model_dump_json()) == params
