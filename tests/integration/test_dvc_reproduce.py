"""The flow that reproduces a DVC project, on small projects whose stages are a few lines of Python."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.artifacts import Artifact

from unimol2_flows.reproduce import reproduce
from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning.git import git

PIPELINE = """\
stages:
  double:
    cmd: python double.py
    deps: [double.py, number.txt]
    params: [factor]
    outs: [doubled]
  describe:
    cmd: python -c "open('said.txt', 'w').write('It is ' + open('doubled/number.txt').read())"
    deps: [doubled]
    outs: [said.txt]
metrics: [doubled/metrics.json]
"""
DOUBLE = """\
import json, pathlib, re
factor = float(re.search(r"factor: (.*)", pathlib.Path("params.yaml").read_text())[1])
number = factor * float(pathlib.Path("number.txt").read_text())
folder = pathlib.Path("doubled")
folder.mkdir()
(folder / "number.txt").write_text(str(number))
(folder / "metrics.json").write_text(json.dumps({"number": {"value": number}}))
print("doubled it")
"""
# Started anew it goes on from its checkpoint; else it waits, with children in its session, in another, and
# out of its tree.
STUBBORN = """\
import pathlib, subprocess, sys, time
checkpoint = pathlib.Path("checkpoint")
if checkpoint.exists():
    pathlib.Path("doubled").mkdir()
    pathlib.Path("doubled/number.txt").write_text("resumed")
    pathlib.Path("doubled/metrics.json").write_text("{}")
    sys.exit()
sleep = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
patient = [sys.executable, "-c", "import time; time.sleep(600)"]
children = [subprocess.Popen(patient), subprocess.Popen(sleep, start_new_session=True)]
leave = "import subprocess as s, sys; print(s.Popen(sys.argv[1:], stdout=-3, start_new_session=True).pid)"
lost = subprocess.run([sys.executable, "-c", leave, *patient], stdout=-1, text=True).stdout.strip()
checkpoint.write_text("half way")
pathlib.Path(PIDS).write_text(" ".join([lost, *(str(child.pid) for child in children)]))
time.sleep(600)
"""


@pytest.fixture
def project(dvc_project: Path) -> Path:
    """A project of two stages whose input is kept by DVC, committed on `main`; no stage has run."""
    git(dvc_project, "symbolic-ref", "HEAD", "refs/heads/main")
    (dvc_project / "dvc.yaml").write_text(PIPELINE)
    (dvc_project / "double.py").write_text(DOUBLE)
    (dvc_project / "params.yaml").write_text("factor: 2\n")
    (dvc_project / "number.txt").write_text("21")
    dvc(dvc_project, "remote", "add", "--quiet", "--default", "store", str(dvc_project.parent / "remote"))
    dvc(dvc_project, "add", "--quiet", "number.txt")
    commit(dvc_project, "Start")
    return dvc_project


def dvc(project: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def commit(project: Path, message: str) -> str:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", message)
    return git(project, "rev-parse", "HEAD")


def outcomes(result: Any) -> dict[str, str]:
    return {stage.stage: stage.outcome for stage in result.stages}


def test_a_project_is_reproduced_in_a_clone_and_its_lock_file_committed_on_a_branch(
    prefect_home: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = str(tmp_path / "work")
    # What a person is doing there is neither seen nor touched.
    (project / "params.yaml").write_text("factor: 1000\n")
    (project / "notes.txt").write_text("mine")
    before = git(project, "status", "--porcelain")

    first = reproduce(str(project), work=work, push=True, commit_branch="reproduced")
    assert outcomes(first) == {"double": "ran", "describe": "ran"}
    assert first.stages[0].metrics == {"doubled/metrics.json:number.value": 42.0}
    assert list(first.lock["dvc.lock"]) == ["double", "describe"]
    assert git(project, "status", "--porcelain") == before
    assert git(project, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git(project, "log", "-1", "--format=%P", "reproduced") == first.commit
    assert "dvc.lock" in git(project, "ls-tree", "--name-only", "reproduced")
    assert not [path for path in Path(work).rglob("*") if path.is_file()], "nothing is left of the clone"
    table = Artifact.get("unimol2-dvc-double")
    assert table is not None
    assert "number.value" in str(table.data)

    # From the branch with the lock file: nothing to do, and no data is fetched for it.
    empty = str(tmp_path / "cache")
    second = reproduce(str(project), "reproduced", work=work, cache=empty)
    assert outcomes(second) == {"double": "unchanged", "describe": "unchanged"}
    assert not [path for path in Path(empty).rglob("*") if path.is_file()]

    # From `main`, which has no lock file, by somebody who only has the address and the remote.
    third = reproduce(f"file://{project}", "main", work=work, cache=empty)
    assert outcomes(third) == {"double": "restored", "describe": "restored"}
    assert third.lock == first.lock

    git(project, "checkout", "--quiet", "params.yaml")
    (project / "params.yaml").write_text("factor: 3\n")
    changed = commit(project, "Three times")
    fourth = reproduce(str(project), targets=["double"], work=work, commit_branch="reproduced")
    assert outcomes(fourth) == {"double": "ran"}
    assert git(project, "log", "-1", "--format=%P", "reproduced").split() == [first.branch_commit, changed]
    assert git(project, "show", "reproduced:params.yaml") == "factor: 3"


def test_what_cannot_be_reproduced_is_refused_by_name(
    prefect_home: Path, project: Path, tmp_path: Path
) -> None:
    work = str(tmp_path / "work")
    git(project, "branch", "theirs")
    git(project, "checkout", "--quiet", "theirs")
    (project / "more.txt").write_text("more")
    commit(project, "More")
    git(project, "checkout", "--quiet", "main")
    for options, said in (
        ({"targets": ["tripel"]}, r"tripel"),
        ({"targets": ["--force"]}, r"not a stage"),
        ({"folder": "elsewhere"}, r"no dvc\.yaml in 'elsewhere'"),
        ({"folder": "../elsewhere"}, r"leads out of the repository"),
        ({"commit_branch": "main"}, r"is checked out in"),
        ({"commit_branch": "a..b"}, r"not a name for a branch"),
        ({"commit_branch": "theirs"}, r"holds commits that are neither"),
        ({"rev": "v9"}, r"has no revision 'v9'"),
    ):
        with pytest.raises(UserError, match=said):
            reproduce(str(project), work=work, **options)
    with pytest.raises(Exception, match="rev"):
        reproduce(str(project), "--all", work=work)


def start(folder: Path, repository: Path, **options: object) -> subprocess.Popen[str]:
    """A run of the flow in a process of its own, as an engine starts it."""
    code = (
        "from unimol2_flows.reproduce import reproduce\n"
        f"print(reproduce({str(repository)!r}, work='work', **{options!r}).model_dump_json())"
    )
    with (folder / "run.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, stdout=log, stderr=subprocess.STDOUT, text=True
        )


@pytest.fixture
def told_of_server(prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], log: Path, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_two_runs_of_one_repository_at_once_both_succeed(
    told_of_server: None, project: Path, tmp_path: Path
) -> None:
    runs = [start(tmp_path, project, commit_branch="reproduced") for _ in range(2)]
    assert [run.wait(500) for run in runs] == [0, 0], (tmp_path / "run.log").read_text()
    assert git(project, "show", "--stat", "--format=", "reproduced", "--", "dvc.lock") or git(
        project, "show", "reproduced:dvc.lock"
    )
    assert not [path for path in (tmp_path / "work").rglob("*") if path.is_file()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_process_and_the_next_one_goes_on(
    told_of_server: None, prefect_home: Path, project: Path, tmp_path: Path, number: signal.Signals
) -> None:
    pids = tmp_path / "pids"
    (project / "double.py").write_text(STUBBORN.replace("PIDS", repr(str(pids))))
    commit(project, "Stubborn")
    run = start(tmp_path, project)
    wait_until(pids.exists, tmp_path / "run.log")
    wait_until(lambda: len(pids.read_text().split()) == 3, tmp_path / "run.log")
    started = [int(word) for word in pids.read_text().split()]
    assert all(lives(pid) for pid in started)
    os.kill(run.pid, number)
    # Prefect's own patience with a cancelled run.
    run.wait(30)
    if number == signal.SIGTERM:
        assert not any(lives(pid) for pid in started), (tmp_path / "run.log").read_text()
    left = list((tmp_path / "work").glob("*/clones/*/checkpoint"))
    assert len(left) == 1

    again = reproduce(str(project), work=str(tmp_path / "work"))
    assert outcomes(again) == {"double": "ran", "describe": "ran"}
    assert not any(lives(pid) for pid in started)
    assert not [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
