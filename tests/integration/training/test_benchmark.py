"""A benchmark from files to a table: interrupted, gone on with, and found again."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.cli import app
from unimol2_tasks.datasets import benchmarks as definitions
from unimol2_tasks.datasets.benchmarks import Benchmark
from unimol2_tasks.datasets.catalogue import PublicDataset, find_dataset
from unimol2_tasks.errors import TrainingFailed
from unimol2_tasks.params import Params
from unimol2_tasks.stages import benchmark as stage
from unimol2_tasks.stages import evaluate, training_job
from unimol2_tasks.stages.benchmarking import results


@pytest.fixture
def benchmark(tiny_table: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Benchmark]:
    """One of 40 molecules, known to the command line."""
    content = tiny_table.read_bytes()
    dataset = PublicDataset.model_validate(
        {
            "name": "tiny", "title": "molecules", "source": "here", "licence": "CC0", "doi": "10.0/0",
            "rows": 40, "smiles_column": "smiles", "id_column": "name",
            "split": "random", "split_source": "here",
            "targets": [{"name": "weight", "unit": "Da"}, {"name": "partial", "unit": "Da"}],
            "table": {
                "urls": ["https://example.org/molecules.csv"], "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            },
        }
    )  # fmt: skip
    monkeypatch.setattr(
        definitions, "find_dataset", lambda name: dataset if name == "tiny" else find_dataset(name)
    )
    made = Benchmark.model_validate(
        {
            "name": "tiny", "title": "tiny molecules", "tables": {"all": {"dataset": "tiny"}},
            "tasks": [
                {"name": "both", "table": "all", "metric": "mae", "columns": {"mass": ["weight", "partial"]}}
            ],
        }
    )  # fmt: skip
    monkeypatch.setattr(results, "benchmarks", lambda: (made,))
    monkeypatch.setattr("unimol2_tasks.commands.benchmark.find_benchmark", {"tiny": made}.__getitem__)
    yield made
    monkeypatch.undo()


def words(table: Path, out: Path, model: str, params: Path) -> list[str]:
    inputs = ["--data", str(table.parent), "--model", model, "--subset", "36", "--seeds", "0,1"]
    changes = ["finetune.epochs=1", "finetune.ranks=1", "prepare.conformers=1", "evaluate.bootstrap=0"]
    settings = [word for change in changes for word in ("--set", change)]
    return ["benchmark", "tiny", "--out", str(out), *inputs, "--params", str(params), *settings]


def test_a_killed_benchmark_goes_on_and_is_found_again(
    benchmark: Benchmark,
    tiny_table: Path,
    tiny_model: ArtifactRef,
    tiny_params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(tiny_params.model_dump(mode="json", exclude_defaults=True)))
    out = tmp_path / "benchmarks"
    command = words(tiny_table, out, tiny_model.uri, params)

    with monkeypatch.context() as broken:

        def stop(*_: object) -> None:
            raise TrainingFailed("stopped", "stopped")

        broken.setattr(evaluate, "run", stop)
        assert isinstance(CliRunner().invoke(app, command).exception, TrainingFailed)
    shown = CliRunner().invoke(app, ["benchmark", "show", str(out)])
    assert "not there yet" in shown.output

    with monkeypatch.context() as trained:

        def refuse(*_: object) -> None:
            raise AssertionError("trains again what is there")

        trained.setattr(training_job, "supervise", refuse)
        finished = CliRunner().invoke(app, command, catch_exceptions=False)
        assert "measured here, 2 seeds" in finished.output
        assert "a subset, 36 of 40 rows" in finished.output
        assert "not there yet" not in finished.output

        trained.setattr("unimol2_tasks.stages.prediction.network.supervise", refuse)
        assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0

    [table] = results.tables(out)
    assert table.head == ("method", "numbers", "mass: MAE, Da")
    assert [line[0] for line in table.rows][:2] == ["pretrained", "pretrained, ensemble"]
    assert "mean of the training set" in {line[0] for line in table.rows}
    assert (out / "tiny" / "both" / "pretrained-report" / "report.html").is_file()


def test_from_scratch_has_the_size_of_the_model(tiny_model: ArtifactRef, tiny_params: Params) -> None:
    network = stage._network_of(tiny_model.uri, stage.Store())
    chosen = stage.Overrides(None, ()).over(network).model
    wanted = tiny_params.model
    assert (chosen.blocks, chosen.atom_dim, chosen.pair_dim) == (
        wanted.blocks,
        wanted.atom_dim,
        wanted.pair_dim,
    )
