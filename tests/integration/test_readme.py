"""The commands and the code of the README, run as they stand there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from unimol2_tasks.params import Params


def blocks(project_root: Path, language: str) -> list[str]:
    text = (project_root / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(block: str) -> list[str]:
    """One command a line, without its comment."""
    return [line.split("  #")[0].split(" #")[0].strip() for line in block.strip().splitlines()]


@pytest.fixture
def clone(tmp_path: Path, project_root: Path, tiny_params: Params) -> Path:
    """A working copy with a hundredth of the embedded molecules and parameters that take seconds."""
    if shutil.which("git") is None:
        pytest.skip("git, which DVC needs, is not on this machine")
    for name in ("dvc.yaml", "prefect.yaml", ".dvc", ".dvcignore", "flows"):
        source = project_root / name
        ignored = shutil.ignore_patterns("__pycache__", "tmp", "cache")
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / name)
    (tmp_path / "data" / "demo").mkdir(parents=True)
    for name, every in (("molecules", 100), ("labelled", 60), ("library", 40)):
        lines = (project_root / "data" / "demo" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        table = tmp_path / "data" / "demo" / f"{name}.csv"
        table.write_text("\n".join([lines[0], *lines[1::every]]) + "\n", encoding="utf-8")
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump(tiny_params.model_dump(mode="json")), encoding="utf-8"
    )
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_two_commands_are_targets_that_set_themselves_up(project_root: Path, target: str) -> None:
    assert f"make {target}" in commands(blocks(project_root, "bash")[0])
    shown = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    expected = {"demo": "unimol2 demo --out runs/demo", "test": "pytest"}[target]
    assert shown.index("-m venv") < shown.index("pip install") < shown.index(expected)


def test_the_steps_run_from_a_shell_and_with_dvc(project_root: Path, clone: Path) -> None:
    shell = next(block for block in blocks(project_root, "bash") if "unimol2 prepare" in block)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands(shell):
        result = subprocess.run(
            command.split(),
            cwd=clone,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    assert (clone / "my" / "predictions.csv").is_file()
    assert (clone / "artifacts" / "report" / "report.html").is_file()


def test_the_flow_of_the_readme_runs_in_somebody_elses_file(project_root: Path, clone: Path) -> None:
    code = blocks(project_root, "python")[0]
    call = 'if __name__ == "__main__":\n    screen("data/demo/labelled.csv", "data/demo/library.csv")\n'
    small = "from unimol2_tasks.params import load_params\n"
    # The defaults are for real work; only the sizes differ from what stands in the README.
    quick = re.sub(
        r"(prepare_dataset|finetune_predictor|predict_table)\((.*)\)", r"\1(\2, params=load_params())", code
    )
    (clone / "pipeline.py").write_text(small + quick + "\n" + call, encoding="utf-8")
    environment = {**os.environ, "PREFECT_HOME": str(clone / "prefect")}
    (clone / "prefect").mkdir()
    result = subprocess.run(
        [sys.executable, "pipeline.py"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (clone / "runs" / "predictions.csv").is_file()
