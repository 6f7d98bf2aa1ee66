"""`unimol2 benchmark`: what can be asked without training anything."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from unimol2_tasks.cli import app
from unimol2_tasks.datasets.benchmarks import Benchmark, assignments, benchmarks, find_benchmark
from unimol2_tasks.errors import ParameterError, UserError
from unimol2_tasks.stages import benchmark as stage
from unimol2_tasks.stages.benchmark import BenchmarkInputs, Overrides, definition, run


def ask(*words: str) -> str:
    return CliRunner().invoke(app, ["benchmark", *words], catch_exceptions=False).output


def test_the_list_has_every_benchmark_and_its_split() -> None:
    shown = ask("list")
    assert all(benchmark.name in shown for benchmark in benchmarks())
    assert "published lists" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["qm9"], "--out is missing"),
        (["qm", "--out", "runs"], "did you mean qm9"),
        (["show"], "expected one folder"),
        (["show", "nowhere"], "holds no benchmark"),
        (["bbbp", "--out", "s3://bucket/runs"], "folder of this machine"),
    ],
)
def test_a_refusal_says_what_to_change(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        ask(*words)


def test_what_a_person_says_goes_before_the_definition(tmp_path: Path) -> None:
    benchmark = find_benchmark("lipophilicity")
    [task] = benchmark.tasks
    definition = assignments(benchmark.tables[task.table], task)
    file = tmp_path / "own.yaml"
    file.write_text("finetune: {epochs: 7, batch_size: 16}\n")
    params = Overrides(file, ("finetune.epochs=3", "prepare.split=random")).over(definition)
    assert (params.finetune.epochs, params.finetune.batch_size) == (3, 16)
    assert (params.prepare.split, params.prepare.conformers) == ("random", 10)
    assert params.finetune.targets == ("exp",)


@pytest.mark.parametrize(
    ("name", "published", "unit"),
    [("qm9-3000", "qm9", "Hartree"), ("biogen-adme", None, "log10 mL/min/kg"), ("bace", None, None)],
)
def test_reports_have_the_units_and_published_values_of_the_result(
    name: str, published: str | None, unit: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    benchmark = find_benchmark(name)
    task = benchmark.tasks[0]
    params = Overrides().over(definition(benchmark, task))
    assert params.evaluate.published == published
    assert params.evaluate.units == ({} if unit is None else dict.fromkeys(task.labels, unit))


def test_the_definition_goes_before_the_file_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text("finetune: {epochs: 7, log_every: 3}\n")
    monkeypatch.chdir(tmp_path)
    benchmark = find_benchmark("bbbp")
    params = Overrides().over(assignments(benchmark.tables["bbbp"], benchmark.tasks[0]))
    assert (params.finetune.epochs, params.finetune.log_every) == (60, 3)


@pytest.mark.parametrize("name", ["lipophilicity", "bace", "biogen-adme"])
def test_splits_and_folds_of_the_working_folder_are_not_those_of_a_benchmark(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    benchmark = find_benchmark(name)
    task = benchmark.tasks[0]
    own = assignments(benchmark.tables[task.table], task)
    plain = Overrides().over(own)
    for text in (
        "prepare: {split: column, split_column: part, coordinates: keep}",
        "prepare: {split: file, split_file: parts.csv}",
        "prepare: {split: stratified, split_label: y, folds: 5}\nfinetune: {cross_validate: true}",
        "prepare: {folds: 5}\nfinetune: {fold: 1, best_by: accuracy, scaling: {y: log}}",
    ):
        (tmp_path / "params.yaml").write_text(text)
        assert Overrides().over(own) == plain


def test_test_molecules_are_judged_unless_a_person_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published numbers, which stand beside, are of test molecules."""
    (tmp_path / "params.yaml").write_text("evaluate: {split: valid}\n")
    monkeypatch.chdir(tmp_path)
    benchmark = find_benchmark("bbbp")
    own = definition(benchmark, benchmark.tasks[0])
    assert Overrides().over(own).evaluate.split == "test"
    assert Overrides(assignments=("evaluate.split=valid",)).over(own).evaluate.split == "valid"
    assert Overrides(tmp_path / "params.yaml").over(own).evaluate.split == "valid"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "finetune.epoch=3"], "unknown key; did you mean epochs"),
        (["--model", "nowhere"], "nowhere: no model there"),
    ],
)
def test_a_refusal_before_anything_is_there_is_told_as_it_is(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        ask("bbbp", "bace", "--out", "runs", *words)


def test_what_one_benchmark_cannot_do_does_not_stop_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(benchmark: Benchmark, *_: object) -> None:
        asked.append(benchmark.name)
        raise UserError(f"{benchmark.name} is refused")

    monkeypatch.setattr(stage, "run", refuse)
    done = CliRunner().invoke(app, ["benchmark", "bbbp", "bace", "--out", str(tmp_path / "runs")])
    assert asked == ["bbbp", "bace"]
    assert str(done.exception) == "bbbp is refused"
    assert "bace is refused" in done.output


def test_an_unknown_parameter_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    inputs = BenchmarkInputs(model=None, scratch=True)
    with pytest.raises(ParameterError, match=r"finetune\.epoch: unknown key; did you mean epochs"):
        run(find_benchmark("bbbp"), inputs, Overrides(None, ("finetune.epoch=3",)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "scratch", "starts"),
    [("m", True, ("pretrained", "scratch")), ("m", False, ("pretrained",)), (None, False, ("scratch",))],
)
def test_without_a_model_networks_start_from_scratch(
    model: str | None, scratch: bool, starts: tuple[str, ...]
) -> None:
    assert BenchmarkInputs(model, scratch).starts == starts
