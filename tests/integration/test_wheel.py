import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

PACKAGES = ("unimol2_flows", "unimol2_model", "unimol2_tasks")
SCREENING = """
import flows, model, tests
from unimol2_flows.prepare import prepare
from unimol2_tasks.params import parse_params

if __name__ == "__main__":
    assert (flows.OURS, model.OURS, tests.OURS) == (True, True, True)
    params = parse_params({"prepare": {"conformers": 1, "split": "random", "workers": 1}})
    print(prepare("table.csv", "dataset", params).kind)
"""


@pytest.fixture(scope="module")
def wheel(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    built = subprocess.run([*command, str(project_root)], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and, by a link, the dependencies, but not the working copy."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Path files of a folder that is reached by one are not read: the editable install stays out.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.fixture
def pipeline(prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's pipeline repository, whose modules have the names of our folders."""
    folder = tmp_path / "pipeline"
    for module in ("flows/__init__.py", "tests/__init__.py", "model.py"):
        (folder / module).parent.mkdir(parents=True, exist_ok=True)
        (folder / module).write_text("OURS = True\n")
    (folder / "table.csv").write_text("smiles\nCCO\nc1ccccc1\nCC(=O)O\n")
    (folder / "screening.py").write_text(SCREENING)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder


def test_it_holds_exactly_the_three_packages_and_their_data(wheel: Path, project_root: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)
    assert len(top) == len(PACKAGES) + 1
    data = {name.rpartition("/")[2] for name in names if name.startswith("unimol2_tasks/demo_data/")}
    assert data >= {"params.yaml", "molecules.csv", "labelled.csv", "library.csv"}
    templates = (project_root / "unimol2_tasks").rglob("templates/*")
    wanted = {path.relative_to(project_root).as_posix() for path in templates}
    assert wanted
    assert wanted <= set(names)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert not any("__pycache__" in name or "/tests/" in name for name in names)


def test_it_works_beside_code_with_the_same_names(environment: Path, pipeline: Path) -> None:
    def run(*command: str) -> str:
        done = subprocess.run(
            [str(environment / "bin" / command[0]), *command[1:]],
            cwd=pipeline,
            env={**os.environ, "VIRTUAL_ENV": str(environment)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    where = run("python", "-c", "; ".join(f"import {name}; print({name}.__file__)" for name in PACKAGES))
    assert all(line.startswith(str(environment)) for line in where.splitlines())
    assert "unimol2-tasks" in run("unimol2", "doctor")
    assert run("unimol2", "demo", "--help")
    assert "dataset" in run("python", "screening.py").splitlines()
    assert (pipeline / "dataset" / "manifest.json").is_file()
