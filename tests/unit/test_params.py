from pathlib import Path
from typing import Any

import pytest

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import Params, Section, load_params, parse_params

KEYS = [
    pytest.param(section.annotation, key, id=f"{name}.{key}")
    for name, section in Params.model_fields.items()
    for key in section.annotation.model_fields  # type: ignore[union-attr]
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def test_the_projects_own_file_is_accepted(project_root: Path) -> None:
    params = load_params(project_root / "params.yaml")
    assert params.model.preset == "tiny"
    assert params.finetune.targets == ("gap_eV",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"pretrain": {"learning_rat": 1}},
            "pretrain.learning_rat: unknown key; did you mean learning_rate?",
        ),
        ({"pretrian": {}}, "pretrian: unknown key; did you mean pretrain?"),
        (
            {"predict": {"colour": "blue"}},
            "predict.colour: unknown key; known: batch_size, threads",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_file_and_suggestion(
    file: Path, values: dict[str, Any], message: str
) -> None:
    file.write_text(str(values))
    with pytest.raises(ParameterError) as refusal:
        load_params(file)
    assert str(file) in str(refusal.value)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("pretrain", "learning_rate", -1.0),
        ("pretrain", "learning_rate", "fast"),
        ("pretrain", "noise", "pink"),
        ("pretrain", "clip", float("nan")),
        ("pretrain", "zero_stage", 4),
        ("prepare", "conformers", 0),
        ("prepare", "valid_fraction", 1.0),
        ("model", "preset", "85M"),
        ("finetune", "targets", "gap_eV"),
        ("supervision", "max_restarts", -1),
    ],
)
def test_an_impossible_value_is_refused_by_key_and_shown(section: str, key: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=rf"params\.yaml: {section}\.{key}: .*got {value!r}"):
        parse_params({section: {key: value}}, "params.yaml")


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ParameterError, match=r"pretrain\.steps: .*; finetune\.epochs: "):
        parse_params({"pretrain": {"steps": 0}, "finetune": {"epochs": 0}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 10, "ranks": 3}, "batch_size 10 is not a multiple of ranks 3"),
        (
            {"batch_size": 16, "ranks": 2, "micro_batch_size": 3},
            "batch_size / ranks = 8 is not a multiple of micro_batch_size 3",
        ),
    ],
)
@pytest.mark.parametrize("section", ["pretrain", "finetune"])
def test_a_batch_that_cannot_be_shared_out_is_refused(
    section: str, values: dict[str, int], message: str
) -> None:
    with pytest.raises(ParameterError, match=f"{section}: .*{message}"):
        parse_params({section: values})


def test_a_batch_is_shared_out_over_ranks_and_forward_passes() -> None:
    training = parse_params({"pretrain": {"batch_size": 24, "ranks": 2, "micro_batch_size": 4}}).pretrain
    assert (training.micro_batch, training.accumulation) == (4, 3)


def test_splits_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"valid_fraction \+ test_fraction must be below 1"):
        parse_params({"prepare": {"valid_fraction": 0.5, "test_fraction": 0.5}})


def test_assignments_win_over_the_file(file: Path) -> None:
    file.write_text("pretrain: {steps: 5, seed: 7}\n")
    assignments = ["pretrain.steps=12", "finetune.targets=[a, b]", "finetune.learning_rate=3e-4"]
    params = load_params(file, assignments)
    assert (params.pretrain.steps, params.pretrain.seed) == (12, 7)
    assert params.finetune.targets == ("a", "b")
    assert params.finetune.learning_rate == 3e-4


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("pretrain.steps", "expected section.key=value"),
        ("=3", "expected section.key=value"),
        ("pretrain..steps=3", "expected section.key=value"),
        ("pretrain.steps=[1", "cannot read the value"),
        ("pretrain.stps=3", "did you mean steps"),
        ("pretrain.deepspeed.x=1", ""),
    ],
)
def test_an_assignment_is_understood_or_refused_as_it_was_typed(assignment: str, message: str) -> None:
    if not message:
        assert load_params(None, [assignment]).pretrain.deepspeed == {"x": 1}
        return
    with pytest.raises(ParameterError, match=message):
        load_params(None, [assignment])


def test_an_assignment_below_a_value_is_refused(file: Path) -> None:
    file.write_text("pretrain: {steps: 5}\n")
    with pytest.raises(ParameterError, match=r"--set pretrain\.steps\.x=1: steps is a value, not a section"):
        load_params(file, ["pretrain.steps.x=1"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"pretrain: [", "not a YAML file"),
        (b"\xff\xfe\x00", "not a YAML file"),
        (b"- a\n- b\n", "expected sections .*, got a list"),
    ],
)
def test_a_file_that_holds_no_parameters_is_refused_by_name(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ParameterError, match=rf"params\.yaml: {message}"):
        load_params(file)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"none\.yaml: no such parameter file"):
        load_params(tmp_path / "none.yaml")
    with pytest.raises(ParameterError, match=str(tmp_path)):
        load_params(tmp_path)


def test_an_empty_file_means_the_defaults(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert load_params(file) == Params()


def test_the_file_of_the_working_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_params() == Params()
    (tmp_path / "params.yaml").write_text("pretrain: {steps: 5}\n")
    assert load_params().pretrain.steps == 5


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_says_what_it_means(section: type[Section], key: str) -> None:
    description = section.model_fields[key].description
    assert description
    assert description.endswith((".", ")"))
    assert section.__doc__
