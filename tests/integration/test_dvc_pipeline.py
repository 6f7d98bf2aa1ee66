import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from unimol2_tasks import versioning
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params

STAGES = ["prepare-molecules", "prepare-labelled", "pretrain", "finetune", "evaluate"]


@pytest.fixture
def project(dvc_project: Path, project_root: Path, tiny_table: Path, tiny_params: Params) -> Path:
    """The project's pipeline over tiny tables and parameters, committed."""
    shutil.copy(project_root / "dvc.yaml", dvc_project)
    shutil.copytree(project_root / ".dvc" / "plots", dvc_project / ".dvc" / "plots")
    data = dvc_project / "data" / "demo"
    data.mkdir(parents=True)
    shutil.copy(tiny_table, data / "molecules.csv")
    with tiny_table.open(newline="") as source, (data / "labelled.csv").open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["smiles", "gap_eV"])
        writer.writerows([row["smiles"], row["weight"]] for row in csv.DictReader(source))
    values = tiny_params.model_dump(mode="json")
    values["pretrain"] |= {"steps": 4, "ranks": 1}
    values["finetune"] |= {"epochs": 2, "ranks": 1, "targets": ["gap_eV"]}
    (dvc_project / "params.yaml").write_text(yaml.safe_dump(values))
    (dvc_project / ".gitignore").write_text("/artifacts/\n")
    commit(dvc_project, "Start")
    return dvc_project


def commit(project: Path, message: str) -> None:
    subprocess.run(["git", "add", "--all"], cwd=project, check=True)
    subprocess.run(["git", "commit", "--quiet", "--message", message], cwd=project, check=True)


def ran(lines: list[str]) -> list[str]:
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


def test_a_project_reproduces_what_has_changed_and_nothing_else(
    project: Path, run_command: Callable[..., Any]
) -> None:
    lines: list[str] = []
    stages = versioning.reproduce(project, say=lines.append)
    assert sorted(ran(lines)) == sorted(STAGES)
    assert sorted(stages) == sorted(STAGES)
    commit(project, "Run")

    again = run_command("dvc", "repro", cwd=project).stdout
    assert ran(again.splitlines()) == []
    assert "up to date" in again
    assert "up to date" in run_command("dvc", "status", cwd=project).stdout

    shown = json.loads(run_command("dvc", "metrics", "show", "--json", cwd=project).stdout)
    metrics = shown[""]["data"]
    assert metrics["artifacts/report/metrics.json"]["data"]["gap_eV"]["Uni-Mol2"]["mae"] > 0
    assert "train/loss" in metrics["artifacts/model/metrics.json"]["data"]
    assert "artifacts/predictor/metrics.json" in metrics

    parameters = yaml.safe_load((project / "params.yaml").read_text())
    # What changes no artifact reruns nothing.
    parameters["finetune"]["checkpoint_every"] = 3
    parameters["prepare"]["unit_rows"] = 16
    parameters["supervision"]["max_restarts"] = 1
    (project / "params.yaml").write_text(yaml.safe_dump(parameters))
    assert json.loads(run_command("dvc", "status", "--json", cwd=project).stdout) == {}
    parameters["finetune"]["learning_rate"] = 3e-3
    (project / "params.yaml").write_text(yaml.safe_dump(parameters))
    status = json.loads(run_command("dvc", "status", "--json", cwd=project).stdout)
    assert list(status) == ["finetune"]
    lines.clear()
    after = versioning.reproduce(project, say=lines.append)
    assert ran(lines) == ["finetune", "evaluate"]
    assert after["pretrain"] == stages["pretrain"]
    assert after["finetune"]["outs"] != stages["finetune"]["outs"]

    difference = run_command("dvc", "metrics", "diff", cwd=project).stdout
    assert "artifacts/report/metrics.json" in difference
    for command in (["show"], ["diff"]):
        page = Path(run_command("dvc", "plots", *command, cwd=project).stdout.strip().removeprefix("file://"))
        text = page.read_text()
        assert all(name in text for name in ("pretraining", "fine-tuning", "parity"))
        assert '"prediction:gap_eV"' in text
        # A step without validation is no loss of 0.
        assert text.count("datum['dvc_inferred_y_value'] !== ''") == 2
    # The memory-mapped copies of the datasets stay; of unfinished work there is none.
    assert [path.name for path in (project / "artifacts" / ".work").iterdir()] == ["arrow"]


def test_a_stage_that_refuses_says_why(dvc_project: Path) -> None:
    (dvc_project / "dvc.yaml").write_text(
        "stages: {prepare: {cmd: unimol2 prepare --input none.csv --out artifacts, outs: [artifacts]}}\n"
    )
    with pytest.raises(UserError, match=r"(?s)dvc repro failed in .*none\.csv: cannot be read"):
        versioning.reproduce(dvc_project)


def test_a_folder_without_a_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no dvc\.yaml there"):
        versioning.reproduce(tmp_path)
