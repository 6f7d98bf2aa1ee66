import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning import table_at
from unimol2_tasks.versioning.git import git

OLD, NEW = "smiles,gap_eV\nCCO,1\n", "smiles,gap_eV\nCCO,1\nCCN,2\n"


@pytest.fixture
def history(dvc_repository: Path, dvc: Callable[..., None], commit: Callable[[str], str]) -> Path:
    """A table in DVC, one in Git and a folder in DVC, in two versions; the first is tagged `old`."""
    (dvc_repository / "many").mkdir()
    for text, tag in ((OLD, "old"), (NEW, "new")):
        for name in ("kept.csv", "plain.csv", "many/a.csv", "many/b.csv"):
            (dvc_repository / name).write_text(text)
        dvc("add", "--quiet", "kept.csv", "many")
        commit(tag)
        git(dvc_repository, "tag", tag)
    return dvc_repository


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["kept.csv", "plain.csv"])
def test_a_table_is_had_as_of_a_revision_and_the_working_tree_stays(
    history: Path, place: Path, name: str
) -> None:
    (history / name).unlink()
    copy, version = table_at(str(history / name), "old", place)
    assert Path(copy).read_text() == OLD
    assert Path(copy).is_relative_to(place)
    assert version.commit == git(history, "rev-parse", "old")
    assert not version.modified
    assert list(version.dvc) == (["kept.csv"] if name == "kept.csv" else [])
    assert not (history / name).exists()


@pytest.mark.parametrize("table", ["many", "many/*.csv"])
def test_folders_and_patterns_too(history: Path, place: Path, table: str) -> None:
    copy, version = table_at(str(history / table), "old", place)
    assert copy == str(place / table)
    assert {path.name: path.read_text() for path in (place / "many").iterdir()} == {
        "a.csv": OLD,
        "b.csv": OLD,
    }
    assert version.paths == ("many",)


def test_a_linked_folder_is_followed_and_a_file_linked_to_the_cache_is_not(
    history: Path, dvc: Callable[..., None], place: Path, tmp_path: Path
) -> None:
    dvc("config", "cache.type", "symlink")
    dvc("checkout", "--relink", "--quiet", "kept.csv")
    assert (history / "kept.csv").is_symlink()
    (tmp_path / "link").symlink_to(history)
    copy, version = table_at(str(tmp_path / "link" / "kept.csv"), "old", place)
    assert Path(copy).read_text() == OLD
    assert version.paths == ("kept.csv",)


def test_what_is_not_there_is_named_with_its_revision(history: Path, place: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv at revision old \([0-9a-f]{12}\): not there"):
        table_at(str(history / "none.csv"), "old", place)
    with pytest.raises(UserError, match=r"plain\.csv: its repository .* has no revision 'older'"):
        table_at(str(history / "plain.csv"), "older", place)
    with pytest.raises(UserError, match="'--all': not a revision"):
        table_at(str(history / "plain.csv"), "--all", place)
    with pytest.raises(UserError, match=r"loose\.csv: in no Git repository"):
        table_at(str(tmp_path / "loose.csv"), "old", place)


def test_data_that_nobody_has_any_more_is_refused(history: Path, place: Path) -> None:
    shutil.rmtree(history / ".dvc" / "cache")
    with pytest.raises(UserError, match=r"kept\.csv at revision old .*cannot be had"):
        table_at(str(history / "kept.csv"), "old", place)


def test_damaged_data_is_refused(history: Path, place: Path) -> None:
    for path in (history / ".dvc" / "cache").rglob("*"):
        if path.is_file() and path.read_text() == OLD:
            path.chmod(0o600)
            path.write_text(NEW.replace("1", "7"))
    with pytest.raises(UserError, match=r"kept\.csv at revision old .*damaged"):
        table_at(str(history / "kept.csv"), "old", place)
