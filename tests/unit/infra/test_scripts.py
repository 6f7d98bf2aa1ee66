"""The shell scripts below infra/: what their linter says, and what they would do to Docker."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate

from unimol2_flows.end_to_end import end_to_end
from unimol2_tasks.blocks import LaunchProfile
from unimol2_tasks.params import Params

BIN = Path(sys.executable).parent
INFRA = Path(__file__).parents[3] / "infra"
SCRIPTS = sorted(INFRA.rglob("*.sh"))


@pytest.fixture
def compose_folder(infra: Path, tmp_path: Path) -> Path:
    """A copy of infra/compose, so that no secrets come to lie in the project."""
    ignored = shutil.ignore_patterns(".env")
    return Path(shutil.copytree(infra / "compose", tmp_path / "compose", ignore=ignored))


def run(script: Path, *arguments: str, **environment: str) -> str:
    """What a script prints, with a `docker` that only prints what it was asked for."""
    fake = script.parent / "bin"
    fake.mkdir(exist_ok=True)
    (fake / "docker").write_text('#!/bin/sh\necho "docker $*"\n', encoding="utf-8")
    (fake / "docker").chmod(0o755)
    path = f"{fake}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [script, *arguments], env={**environment, "PATH": path}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_linter_has_nothing_to_say_and_it_can_be_started(script: Path) -> None:
    for command in (["bash", "-n", script], [BIN / "shellcheck", script]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")


def test_secrets_are_random_private_and_kept(compose_folder: Path, tmp_path: Path) -> None:
    for name in ("one", "other", "one"):
        run(compose_folder / "secrets.sh", str(tmp_path / name))
        if name == "one" and (tmp_path / "other").exists():
            break
        first = (tmp_path / "one").read_text(encoding="utf-8")
    assert (tmp_path / "one").read_text(encoding="utf-8") == first
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o600
    secrets = [line.split("=") for line in first.splitlines()]
    others = (tmp_path / "other").read_text(encoding="utf-8")
    assert all(len(value) >= 34 and value not in others for _, value in secrets)


def test_what_is_missing_is_added_to_an_older_file(compose_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("POSTGRES_PASSWORD=mine\n", encoding="utf-8")
    run(compose_folder / "secrets.sh", str(tmp_path / "env"))
    lines = (tmp_path / "env").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "POSTGRES_PASSWORD=mine"
    assert len({line.split("=")[0] for line in lines}) == len(lines) == 6


def test_one_command_makes_secrets_and_starts_everything(compose_folder: Path) -> None:
    said = run(compose_folder / "up.sh")
    assert (compose_folder / ".env").is_file()
    assert "up --detach --build --wait" in said
    assert f"--file {compose_folder}/compose.yaml up" in said
    assert "compose.gpu.yaml" in run(compose_folder / "up.sh", UNIMOL2_TARGET="gpu")
    secret = (compose_folder / ".env").read_text(encoding="utf-8").splitlines()[0].split("=")[1]
    assert secret not in said


def test_the_demo_starts_runs_and_lists(compose_folder: Path) -> None:
    said = run(compose_folder / "demo.sh", S3_BUCKET="molecules")
    up, deployment, listing = (line for line in said.splitlines() if line.startswith("docker"))
    assert "up --detach" in up
    assert "unimol2-end-to-end/end-to-end --watch --param out=s3://molecules/demo" in deployment
    assert listing.endswith("python - s3://molecules/demo")


def test_the_demo_fits_on_one_gpu(compose_folder: Path) -> None:
    (launch,) = re.findall(r"--param launch=(\{.*?\})", run(compose_folder / "demo.sh", UNIMOL2_TARGET="gpu"))
    profile = json.loads(launch)
    schema = parameter_schema(end_to_end).model_dump_for_openapi()
    parameters = {"molecules": "a.csv", "labelled": "b.csv", "out": "s3://unimol2/demo", "launch": profile}
    validate(parameters, schema, raise_on_error=True)
    with pytest.raises(ValidationError):
        validate({**parameters, "launch": {"ranks": 0}}, schema, raise_on_error=True)
    params = LaunchProfile(**profile).apply(Params())
    assert params.pretrain.ranks == params.finetune.ranks == 1
    assert "launch" not in run(compose_folder / "demo.sh")


def test_a_failed_run_fails_the_demo(compose_folder: Path) -> None:
    folder = compose_folder / "bin"
    folder.mkdir()
    (folder / "docker").write_text('#!/bin/sh\ncase "$*" in *deployment*) exit 1;; esac\n', encoding="utf-8")
    (folder / "docker").chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([compose_folder / "demo.sh"], env={"PATH": path}, capture_output=True, timeout=60)
    assert done.returncode == 1
