"""Git repositories and DVC projects for the tests of versions."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unimol2_tasks.versioning.git import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty Git repository."""
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine")
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "config", "user.name", "Test")
    git(folder, "config", "user.email", "test@localhost")
    return folder


@pytest.fixture
def dvc_repository(repository: Path, dvc: Callable[..., None]) -> Path:
    """The same with DVC set up."""
    dvc("init", "--quiet")
    return repository


@pytest.fixture
def dvc(repository: Path) -> Callable[..., None]:
    """Run a command of DVC in the repository."""

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=repository, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


@pytest.fixture
def commit(repository: Path) -> Callable[[str], str]:
    """Commit everything in the repository; gives the commit."""

    def record(message: str) -> str:
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", "--message", message)
        return git(repository, "rev-parse", "HEAD")

    return record
