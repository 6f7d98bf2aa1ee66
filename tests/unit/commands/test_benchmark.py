"""`unimol2 benchmark`: what can be asked without training anything."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from unimol2_tasks.cli import app
from unimol2_tasks.datasets.benchmarks import assignments, benchmarks, find_benchmark
from unimol2_tasks.errors import ParameterError, UserError
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
