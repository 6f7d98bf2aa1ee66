"""Upstream files that lie on this machine already, known by their content."""

import gzip
import hashlib
from pathlib import Path

import pytest

from unimol2_tasks.datasets.catalogue import PublicDataset, SourceFile, find_dataset
from unimol2_tasks.datasets.source_files import local_files
from unimol2_tasks.errors import UserError

TABLE, LIST = b"smiles,y\nCCO,1\n", b"smiles,activity\nCCN,2\n"


def source(name: str, content: bytes) -> SourceFile:
    return SourceFile(
        urls=(f"https://example.org/{name}",), size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


DATASET = find_dataset("bbbp").model_copy(
    update={"table": source("table.csv", TABLE), "extras": (source("train.csv", LIST),)}
)


def find(folder: Path, names: frozenset[str] = frozenset()) -> dict[str, Path]:
    files = local_files(DATASET, folder, names, folder / "work")
    return {"table": files.table, **files.extras}


def test_files_are_found_under_any_name_and_packed(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    packed = tmp_path / "deep" / "er" / "renamed.csv.gz"
    packed.write_bytes(gzip.compress(TABLE))
    (tmp_path / "some.csv").write_bytes(LIST)
    # As long as the table, and something else.
    (tmp_path / "a.csv").write_bytes(b"x" * len(TABLE))
    assert find(tmp_path, frozenset({"train.csv"})) == {"table": packed, "train.csv": tmp_path / "some.csv"}


def test_only_what_is_needed_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(TABLE)
    assert find(tmp_path) == {"table": tmp_path / "table.csv"}
    with pytest.raises(UserError, match=r"train\.csv of bbbp is not there.*leave --data out"):
        find(tmp_path, frozenset({"train.csv"}))


def test_an_altered_table_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(TABLE.replace(b"1", b"0"))
    with pytest.raises(UserError, match=r"table\.csv of bbbp is not there"):
        find(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder; give --data"):
        find(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["qm9-3000", "bace", "hiv"])
def test_the_real_files_are_found(shared_dir: Path, tmp_path: Path, name: str) -> None:
    dataset: PublicDataset = find_dataset(name)
    files = local_files(dataset, shared_dir / "data", frozenset(), tmp_path)
    assert files.table.is_relative_to(shared_dir)
    if dataset.geometries is not None:
        assert files.geometries == tmp_path / dataset.geometries.file
