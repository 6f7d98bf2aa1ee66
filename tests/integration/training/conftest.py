"""Training jobs that share one start of their ranks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from training_jobs import in_ranks

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.training.job import Job, RunFolder


class Train(Protocol):
    """Runs jobs of one kind that differ in some parameters; returns their run folders by name."""

    def __call__(
        self, kind: str, variants: Mapping[str, Mapping[str, Any]], ranks: int = 2
    ) -> dict[str, RunFolder]: ...


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: ArtifactRef, tiny_params: Params) -> Train:
    def run_all(kind: str, variants: Mapping[str, Mapping[str, Any]], ranks: int = 2) -> dict[str, RunFolder]:
        folder = tmp_path_factory.mktemp(kind)
        runs = {name: RunFolder(folder / name) for name in variants}
        for name, changes in variants.items():
            params = _without_dropout(tiny_params, kind, {"ranks": ranks, **changes})
            runs[name].path.mkdir()
            job = Job.model_validate(
                {"kind": kind, "dataset": Path(tiny_dataset.uri).absolute(), "params": params}
            )
            runs[name].job.write_text(job.model_dump_json())
        _run_ranks(ranks, list(runs.values()))
        return runs

    return run_all


def _without_dropout(params: Params, kind: str, changes: Mapping[str, Any]) -> Params:
    """Dropout draws other numbers on every rank, so runs are compared without it."""
    values = params.model_dump()
    values["model"] |= {"dropout": 0.0, "attention_dropout": 0.0, "pair_dropout": 0.0}
    values[kind] |= changes
    return parse_params(values)


def _run_ranks(ranks: int, runs: list[RunFolder]) -> None:
    done = in_ranks(ranks, runs)
    # As the supervisor does: by what was left behind, not by an exit code.
    unfinished = [run.path.name for run in runs if not (run.result.is_dir() or run.failure.exists())]
    assert not unfinished, f"{unfinished}: exit code {done.returncode}\n{done.stderr[-3000:]}"
