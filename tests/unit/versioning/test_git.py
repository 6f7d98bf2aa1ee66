from collections.abc import Callable
from pathlib import Path

import pytest

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning import find_source
from unimol2_tasks.versioning.git import GitError, commit_of, git, has_password, without_password


def test_passwords_in_addresses_are_blotted_out() -> None:
    said = "fatal: https://me:secret@host/a.git and ssh://git@host/b.git"
    assert without_password(said) == "fatal: https://***@host/a.git and ssh://git@host/b.git"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ghp_secret@host/a.git", "https://***@host/a.git"),
        ("HTTPS://ghp_secret@host/a.git", "HTTPS://***@host/a.git"),
        ("http://me:sec@ret@host/a.git", "http://***@host/a.git"),
        ("ssh://me:secret@host:22/a.git", "ssh://***@host:22/a.git"),
        ("s3://key:secret@bucket/a", "s3://***@bucket/a"),
        ("ssh://git@host:22/a.git", None),
        ("git@host:a.git", None),
        ("https://host/a.git@v1", None),
        ("see https://host/a, or ask me@host", None),
    ],
)
def test_who_asks_is_blotted_out_where_it_may_be_a_secret(address: str, shown: str | None) -> None:
    assert has_password(address) == (shown is not None)
    assert without_password(address) == (shown or address)


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


def test_what_a_killed_git_leaves_in_a_mirror_stops_nobody(
    repository: Path, commit: Callable[[str], str], tmp_path: Path
) -> None:
    (repository / "a").write_text("a")
    commit("a")
    mirror = find_source(f"file://{repository}", "main", tmp_path / "work").folder
    (repository / "b").write_text("b")
    second = commit("b")
    for name in ("refs/heads/main.lock", "packed-refs.lock", "config.lock"):
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).touch()
    with pytest.raises(GitError, match="lock"):
        git(mirror, "fetch", "origin")
    assert find_source(f"file://{repository}", "main", tmp_path / "work").commit == second


@pytest.mark.parametrize(
    ("repository_name", "rev", "said"),
    [
        ("nowhere", "HEAD", "neither a folder of this machine nor an address"),
        ("--upload-pack=touch x", "HEAD", "neither a folder of this machine nor an address"),
        ("ext::sh -c touch% x", "HEAD", "neither a folder of this machine nor an address"),
        ("plain", "HEAD", "not a Git repository"),
        ("file:///nowhere/at/all.git", "HEAD", "cannot be fetched"),
        ("https://me:secret@git.example.org/a.git", "HEAD", "holds a user name or token"),
        ("https://ghp_secret@git.example.org/a.git", "HEAD", "holds a user name or token"),
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
