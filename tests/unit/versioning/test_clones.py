"""Clones of a repository: what is left of killed ones goes, and what moves under Git is tried again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from unimol2_tasks.versioning import Source, clone_for_run, clones, find_source
from unimol2_tasks.versioning.git import GitError, git


@pytest.fixture
def source(dvc_repository: Path, commit: Callable[[str], str], tmp_path: Path) -> Source:
    (dvc_repository / "dvc.yaml").write_text("stages: {}\n")
    commit("Start")
    return find_source(str(dvc_repository), "main", tmp_path / "work")


def test_what_a_killed_clone_leaves_goes_with_the_next_run(source: Source) -> None:
    folder = source.home / "clones"
    for left in ("0123456789abcdef-0.draft", f"{source.commit[:16]}-1.draft"):
        (folder / left).mkdir(parents=True)
        (folder / left / "HEAD").touch()
        (folder / left).with_suffix(".lock").touch()
    with clone_for_run(source) as clone:
        assert git(clone.root, "rev-parse", "HEAD") == source.commit
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("failures", "succeeds"), [(1, True), (2, False)])
def test_a_clone_that_files_were_taken_away_from_is_tried_once_more(
    source: Source, monkeypatch: pytest.MonkeyPatch, failures: int, succeeds: bool
) -> None:
    tried: list[str] = []

    def repacked(folder: Path, *arguments: str) -> str:
        if arguments[0] == "clone":
            tried.append("clone")
            if len(tried) <= failures:
                (Path(arguments[-1]) / "objects").mkdir(parents=True)
                raise GitError("failed to create link: No such file or directory")
        return git(folder, *arguments)

    monkeypatch.setattr(clones, "git", repacked)
    if not succeeds:
        with pytest.raises(GitError, match="failed to create link"), clone_for_run(source):
            pass
        return
    with clone_for_run(source) as clone:
        assert git(clone.root, "rev-parse", "HEAD") == source.commit
