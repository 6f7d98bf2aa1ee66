"""A scaling study through its flow, and again from the command line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from typer.testing import CliRunner

from unimol2_flows.scaling import StudyResult, scaling
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.cli import app
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import study
from unimol2_tasks.stages.scaling_results.law_files import read_fit

pytestmark = pytest.mark.usefixtures("prefect_home")
_SIZES = [
    {"blocks": 1, "atom_dim": 16, "heads": 1, "ffn_dim": 16, "pair_dim": 8, "pair_hidden_dim": 4},
    {"blocks": 1, "atom_dim": 32, "heads": 2, "ffn_dim": 32, "pair_dim": 8, "pair_hidden_dim": 4},
    {"blocks": 1, "atom_dim": 48, "heads": 3, "ffn_dim": 48, "pair_dim": 8, "pair_hidden_dim": 4},
]


@pytest.fixture(scope="module")
def params(tiny_params: Params) -> Params:
    values = tiny_params.model_dump(mode="json", exclude_defaults=True)
    values["pretrain"] |= {"ranks": 1, "validate_every": 2}
    values["study"] = {"sizes": _SIZES, "test_from_step": 8, "starts": 2, "bootstrap": 4}
    return parse_params(values)


@pytest.fixture(scope="module")
def arguments(
    tmp_path_factory: pytest.TempPathFactory, tiny_dataset: ArtifactRef, params: Params
) -> dict[str, Any]:
    out = str(tmp_path_factory.mktemp("study"))
    return {"out": out, "params": params, "dataset": tiny_dataset.uri}


@pytest.fixture(scope="module")
def result(arguments: dict[str, Any]) -> StudyResult:
    return scaling(**arguments)


def test_the_largest_is_predicted_from_the_smaller_ones(
    result: StudyResult, tiny_dataset: ArtifactRef
) -> None:
    assert result.dataset == tiny_dataset
    assert list(result.models) == ["0.0413M", "0.0637M", "0.0913M"]
    fit = read_fit(Path(result.law.uri))
    (judged,) = fit["held_out"].items()
    assert judged[0] == result.models["0.0913M"].uri
    assert (judged[1]["n"], judged[1]["from_step"]) == (2, 10)
    assert len(fit["sizes"]) == 2
    assert (Path(result.report.uri) / "study.html").is_file()


def test_its_tables_are_on_the_server(result: StudyResult) -> None:
    with get_client(sync_client=True) as client:
        found = [one for one in client.read_artifacts() if one.key == "unimol2-scaling-study"]
    assert "Predicted, and never part of the fit" in found[-1].data


def test_the_command_line_finds_everything_that_the_flow_made(
    result: StudyResult, arguments: dict[str, Any]
) -> None:
    again = study.run(arguments["params"], arguments["dataset"], arguments["out"])
    assert again == result.report


def test_a_law_that_is_gone_is_fitted_again_and_no_model_trained(
    result: StudyResult, arguments: dict[str, Any], tmp_path: Path
) -> None:
    law, models = Path(result.law.uri), Path(arguments["out"]) / "models"
    trained = {path: path.stat().st_mtime_ns for path in models.rglob("*.safetensors")}
    law.rename(tmp_path / "law")
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(arguments["params"].model_dump(mode="json", exclude_defaults=True)))
    words = ["--params", str(file), "--dataset", arguments["dataset"], "--out", arguments["out"]]
    done = CliRunner().invoke(app, ["scaling", "study", *words])
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [result.report.uri, "report", result.report.digest]
    assert {path: path.stat().st_mtime_ns for path in models.rglob("*.safetensors")} == trained
    assert (law / "law.json").read_bytes() == (tmp_path / "law" / "law.json").read_bytes()


def test_a_study_needs_molecules_once(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give either table or dataset"):
        scaling(str(tmp_path), params)
