import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from unimol2_tasks.versioning import version_of
from unimol2_tasks.versioning.git import git

TABLE = "smiles,gap_eV\nCCO,1\nCCN,2\n"


def test_a_file_in_git_has_the_commit_and_whether_it_was_changed(
    repository: Path, commit: Callable[[str], str]
) -> None:
    table = repository / "table.csv"
    table.write_text(TABLE)
    first = commit("Table")
    version = version_of([table])
    assert version is not None
    assert (version.paths, version.commit, version.modified, version.dvc) == (
        ("table.csv",),
        first,
        False,
        {},
    )
    table.write_text(TABLE + "CCC,3\n")
    changed = version_of([table])
    assert changed is not None
    assert (changed.commit, changed.modified) == (first, True)


def test_a_file_behind_a_linked_folder_has_the_same_version(
    dvc_repository: Path, dvc: Callable[..., None], commit: Callable[[str], str], tmp_path: Path
) -> None:
    (dvc_repository / "plain.csv").write_text(TABLE)
    (dvc_repository / "kept.csv").write_text(TABLE)
    dvc("config", "cache.type", "symlink")
    dvc("add", "--quiet", "kept.csv")
    commit("Tables")
    (tmp_path / "link").symlink_to(dvc_repository)
    for name in ("plain.csv", "kept.csv"):
        version = version_of([dvc_repository / name])
        assert version is not None
        assert version_of([tmp_path / "link" / name]) == version


def test_what_neither_git_nor_dvc_keeps_has_no_version(
    repository: Path, commit: Callable[[str], str], tmp_path: Path
) -> None:
    (repository / "kept.csv").write_text(TABLE)
    commit("Table")
    (repository / "new.csv").write_text(TABLE)
    (tmp_path / "outside.csv").write_text(TABLE)
    assert version_of([repository / "new.csv"]) is None
    assert version_of([repository / "kept.csv", repository / "new.csv"]) is None
    assert version_of([tmp_path / "outside.csv"]) is None


def test_a_password_in_the_origin_is_not_told(repository: Path, commit: Callable[[str], str]) -> None:
    git(repository, "remote", "add", "origin", "https://me:hunter2@git.example.org/data.git")
    (repository / "table.csv").write_text(TABLE)
    commit("Table")
    version = version_of([repository / "table.csv"])
    assert version is not None
    assert version.repository == "https://***@git.example.org/data.git"


def test_data_that_dvc_keeps_has_its_hash(
    dvc_repository: Path, dvc: Callable[..., None], commit: Callable[[str], str]
) -> None:
    table, folder = dvc_repository / "table.csv", dvc_repository / "many"
    table.write_text(TABLE)
    folder.mkdir()
    (folder / "a.csv").write_text(TABLE)
    (folder / "b.csv").write_text(TABLE)
    dvc("add", "--quiet", "table.csv", "many")
    first = commit("Data")
    version = version_of([table])
    assert version is not None
    assert version.commit == first
    assert version.dvc == {
        "table.csv": f"md5:{hashlib.md5(TABLE.encode(), usedforsecurity=False).hexdigest()}"
    }
    whole = version_of(sorted(folder.iterdir()))
    assert whole is not None
    assert whole.paths == ("many",)
    assert whole.dvc["many"].endswith(".dir")
    assert not whole.modified

    table.write_text(TABLE + "CCC,3\n")
    edited = version_of([table])
    dvc("add", "--quiet", "table.csv")
    added = version_of([table])
    assert edited is not None
    assert added is not None
    assert edited.modified
    # Its hash is known now, but no commit names it yet.
    assert added.modified
    assert added.dvc != version.dvc
    second = commit("More data")
    now = version_of([table])
    assert now is not None
    assert (now.commit, now.modified, now.dvc) == (second, False, added.dvc)


def test_what_a_stage_made_has_the_hash_of_the_lock_file(
    dvc_repository: Path, dvc: Callable[..., None], commit: Callable[[str], str]
) -> None:
    (dvc_repository / "dvc.yaml").write_text(
        "stages: {make: {cmd: mkdir made && printf 'smiles\\nC\\n' > made/t.csv, outs: [made]}}\n"
    )
    dvc("repro", "--quiet")
    made = commit("Made")
    version = version_of([dvc_repository / "made" / "t.csv"])
    assert version is not None
    assert (version.paths, version.commit, version.modified) == (("made",), made, False)
    assert version.dvc["made"].endswith(".dir")


def test_files_of_dvc_that_cannot_be_read_do_not_stop_anybody(
    dvc_repository: Path, commit: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    (dvc_repository / "table.csv").write_text(TABLE)
    (dvc_repository / "dvc.yaml").write_text("stages: 7\n")
    commit("Broken")
    version = version_of([dvc_repository / "table.csv"])
    assert version is not None
    assert version.dvc == {}
    assert "DVC's version of the data is not known" in caplog.text
