"""The image's Dockerfile: what its linter and our rules say of it, and that its smoke test works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pathspec
import pytest

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def dockerfile(infra: Path) -> str:
    """Its instructions, one a line and without comments."""
    text = (infra / "docker" / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return lines.replace("\\\n", " ")


def instructions(dockerfile: str, name: str) -> list[str]:
    return re.findall(rf"^{name}\s+(.*)$", dockerfile, re.MULTILINE)


def test_the_linter_has_nothing_to_say(infra: Path) -> None:
    done = subprocess.run([BIN / "hadolint", infra / "docker" / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_both_targets_come_from_the_stage_that_was_smoke_tested(dockerfile: str) -> None:
    stages = {name: base for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.MULTILINE)}
    assert stages["cpu"] == stages["gpu"] == "runtime"
    runtime = dockerfile.split("AS runtime")[1].split("FROM ")[0]
    assert re.search(r"^RUN .*source=infra/docker/smoke.sh.* bash /smoke.sh", runtime, re.MULTILINE)


def test_bases_are_pinned_by_arguments(dockerfile: str) -> None:
    arguments = dict(line.split("=", 1) for line in instructions(dockerfile, "ARG"))
    (base,) = {base for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) if base.startswith("$")}
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", arguments[base.strip("${}")])
    assert all(
        base in ("${PYTHON_IMAGE}", "runtime")
        for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    )


def test_no_index_is_named_and_the_default_is_none(dockerfile: str) -> None:
    assert "://" not in dockerfile
    assert 'TORCH_INDEX=""' in instructions(dockerfile, "ARG")


def test_it_runs_as_a_numbered_user_who_is_not_root(dockerfile: str) -> None:
    """Kubernetes' runAsNonRoot cannot judge names."""
    assert instructions(dockerfile, "USER")[-1] == "${UID}:${UID}"
    (uid,) = (line.split("=")[1] for line in instructions(dockerfile, "ARG") if line.startswith("UID="))
    assert int(uid) >= 10000


def test_the_first_process_reaps_orphans_and_signals_groups(dockerfile: str) -> None:
    assert instructions(dockerfile, "ENTRYPOINT") == ['["tini", "-g", "--", "unimol2"]']


def test_what_is_written_lies_in_volumes(dockerfile: str) -> None:
    (volumes,) = instructions(dockerfile, "VOLUME")
    (environment,) = (line for line in instructions(dockerfile, "ENV") if line.startswith("HOME="))
    written = re.findall(r"\w+=(/\S+)", environment)
    assert len(written) == 6
    assert all(path.startswith("/var/lib/unimol2") for path in written)
    assert volumes == '["/var/lib/unimol2", "/work/runs", "/work/.unimol2"]'


def test_compilers_stay_in_the_builder(dockerfile: str) -> None:
    builder, runtime = dockerfile.split("AS runtime")
    assert "build-essential" in builder
    assert not re.search(r"build-essential|gcc|-dev\b", runtime)
    assert "! command -v cc" in runtime


def test_what_is_copied_exists_and_reaches_the_builder(dockerfile: str, project_root: Path) -> None:
    ignored = ignore_rules(project_root)
    copied = {name for line in instructions(dockerfile, "COPY") for name in line.split()[:-1]}
    copied.add("infra/docker/smoke.sh")
    for name in copied:
        path = project_root / name
        files = [path] if path.is_file() else [file for file in path.rglob("*.*") if file.suffix != ".pyc"]
        assert files, name
        assert not [file for file in files if ignored.match_file(file.relative_to(project_root))], name


@pytest.mark.parametrize(
    "name",
    [".env", "infra/compose/.env", ".git/config", ".venv/bin/python", "runs/a", ".dvc/config.local", "x.pem"],
)
def test_secrets_and_leftovers_do_not_reach_the_builder(name: str, project_root: Path) -> None:
    assert ignore_rules(project_root).match_file(name)


def ignore_rules(project_root: Path) -> "pathspec.PathSpec[pathspec.Pattern]":
    lines = (project_root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return pathspec.PathSpec.from_lines("gitwildmatch", lines)


def test_the_smoke_test_passes_here_and_fails_without_molecules(
    infra: Path, project_root: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tmp_path)}

    def smoke(table: Path) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(infra / "docker" / "smoke.sh"), str(table)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    done = smoke(project_root / "data" / "demo" / "library.csv")
    assert done.returncode == 0, done.stderr
    assert "5 in = 5 out + 0 rejects" in done.stdout
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "broken.csv").write_text("id,smiles\na,no molecule\n", encoding="utf-8")
    assert smoke(tmp_path / "broken.csv").returncode != 0
