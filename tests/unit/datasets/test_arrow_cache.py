"""Where the memory-mapped form of a dataset lies, and when it is made."""

import subprocess
import sys
from pathlib import Path

import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.arrow_cache import arrow_folder
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.errors import ArtifactError


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every file below."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def test_an_artifact_stays_as_it_was_and_its_cache_bears_its_digest(published: ArtifactRef) -> None:
    dataset = Path(published.uri)
    before = _files(dataset)
    open_dataset(dataset)
    assert _files(dataset) == before
    assert [path.name for path in (dataset.parent / ".work" / "arrow").iterdir()] == [
        f"v1-{published.digest}"
    ]
    Store().fetch(published.uri)


def test_the_cache_of_unfinished_work_goes_with_it(folder: Path) -> None:
    open_dataset(folder)
    assert {path.name for path in folder.parent.iterdir()} == {"dataset"}


def test_the_cache_lies_where_the_caller_says(published: ArtifactRef, tmp_path: Path) -> None:
    dataset = open_dataset(published.uri, tmp_path / "local")
    assert len(dataset) == 5
    assert not (tmp_path / ".work").exists()
    assert len(list((tmp_path / "local").iterdir())) == 1


def test_opening_again_makes_nothing_anew(published: ArtifactRef, tmp_path: Path) -> None:
    open_dataset(published.uri, tmp_path / "local")
    before = _files(tmp_path / "local")
    open_dataset(published.uri, tmp_path / "local")
    assert _files(tmp_path / "local") == before


def test_changed_molecules_are_not_taken_from_the_cache(folder: Path, tmp_path: Path) -> None:
    first = arrow_folder(folder, tmp_path / "local")
    (folder / "splits.parquet").write_bytes((folder / "splits.parquet").read_bytes() + b"x")
    with pytest.raises(ArtifactError, match=r"splits\.parquet: damaged"):
        arrow_folder(folder, tmp_path / "local")
    assert first.is_dir()


def test_a_damaged_artifact_never_gets_into_the_cache(published: ArtifactRef, tmp_path: Path) -> None:
    path = Path(published.uri) / "molecules" / "part-00001.parquet"
    good = path.read_bytes()
    path.write_bytes(good[:50] + bytes([good[50] ^ 1]) + good[51:])
    with pytest.raises(ArtifactError, match=r"part-00001\.parquet: damaged: sha256"):
        open_dataset(published.uri, tmp_path / "local")
    path.write_bytes(good)
    assert open_dataset(published.uri, tmp_path / "local").record(2).smiles == "Oc1ccccc1"


def test_an_interrupted_maker_is_continued(published: ArtifactRef, tmp_path: Path) -> None:
    folder = arrow_folder(Path(published.uri), tmp_path / "local")
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "contents.json").unlink()
    (folder / "part-00001.arrow").unlink()
    kept = (folder / "part-00000.arrow").stat().st_ino
    arrow_folder(Path(published.uri), tmp_path / "local")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert (folder / "part-00000.arrow").stat().st_ino == kept


_READ_ALL = """
import sys
from pathlib import Path
from unimol2_tasks.datasets.dataset import open_dataset
dataset = open_dataset(sys.argv[1], Path(sys.argv[2]))
print(*(dataset.smiles(index) for index in range(len(dataset))))
"""


def test_processes_that_start_together_see_the_same(published: ArtifactRef, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _READ_ALL, published.uri, str(tmp_path / "local")]
    ranks = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    seen = [rank.communicate(timeout=120)[0].split() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 5


def test_without_any_room_the_message_says_where_it_was_sought(
    published: ArtifactRef, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match=r"no place for its memory-mapped form.*file.*Not a directory"):
        open_dataset(published.uri, tmp_path / "file")


def test_a_place_that_cannot_be_written_is_passed_over(
    published: ArtifactRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file in the way: permissions do not stop the superuser, who runs tests in containers.
    (tmp_path / ".work").write_text("in the way")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert len(open_dataset(published.uri)) == 5
    assert len(list((tmp_path / "home" / ".cache" / "unimol2" / "arrow").iterdir())) == 1
