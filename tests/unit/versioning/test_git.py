from collections.abc import Callable
from pathlib import Path

import pytest

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning import find_source
from unimol2_tasks.versioning.git import commit_of, git, without_password


def test_passwords_in_addresses_are_blotted_out() -> None:
    said = "fatal: https://me:secret@host/a.git and ssh://git@host/b.git"
    assert without_password(said) == "fatal: https://***@host/a.git and ssh://git@host/b.git"


def test_inside_a_hook_git_works_in_the_folder_it_is_told(
    repository: Path, commit: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (repository / "a").write_text("a")
    first = commit("a")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git(repository, "rev-parse", "HEAD") == first


def test_a_repository_is_found_at_a_revision(
    repository: Path, commit: Callable[[str], str], tmp_path: Path
) -> None:
    (repository / "inner").mkdir()
    (repository / "inner" / "a").write_text("a")
    first = commit("a")
    here = find_source(str(repository / "inner"), "main", tmp_path / "work")
    assert (here.repository, here.commit, here.is_here) == (str(repository), first, True)
    address = f"file://{repository}"
    remote = find_source(address, "main", tmp_path / "work")
    assert (remote.repository, remote.commit, remote.is_here) == (address, first, False)
    (repository / "b").write_text("b")
    second = commit("b")
    assert find_source(address, "main", tmp_path / "work").commit == second
    assert commit_of(repository, "nowhere") is None


@pytest.mark.parametrize(
    ("repository_name", "rev", "said"),
    [
        ("nowhere", "HEAD", "neither a folder of this machine nor an address"),
        ("--upload-pack=touch x", "HEAD", "neither a folder of this machine nor an address"),
        ("ext::sh -c touch% x", "HEAD", "neither a folder of this machine nor an address"),
        ("plain", "HEAD", "not a Git repository"),
        ("file:///nowhere/at/all.git", "HEAD", "cannot be fetched"),
        ("https://me:secret@git.example.org/a.git", "HEAD", "holds a password"),
        ("repository", "nothing", "has no revision 'nothing'"),
        ("repository", "--all", "not a revision"),
        ("repository", "", "not a revision"),
    ],
)
def test_what_cannot_be_reproduced_is_refused_by_name(
    repository: Path,
    commit: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    repository_name: str,
    rev: str,
    said: str,
) -> None:
    (repository / "a").write_text("a")
    commit("a")
    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(UserError, match=said) as caught:
        find_source(repository_name, rev, tmp_path / "work")
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "x").exists()
