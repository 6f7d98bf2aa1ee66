"""`unimol2 prepare --rev`: the same data give the same dataset, whichever way they came."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unimol2_tasks.artifacts.manifest import MANIFEST, Manifest
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.errors import TableError, UserError
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages.prepare import PrepareInputs, run
from unimol2_tasks.versioning.git import git

PARAMS = PrepareParams(conformers=1, workers=1, split="random")
OLD = "smiles,gap_eV\nCCO,1\nCCX,5\nc1ccccc1,2\nCCC,3\n"
NEW = OLD + "CCN,4\n"


@pytest.fixture
def history(dvc_project: Path) -> Path:
    """A table that DVC keeps, in two versions; the first is tagged `old`."""
    for text, tag in ((OLD, "old"), (NEW, "new")):
        (dvc_project / "table.csv").write_text(text)
        subprocess.run(
            [sys.executable, "-m", "dvc", "add", "--quiet", "table.csv"], cwd=dvc_project, check=True
        )
        git(dvc_project, "add", "--all")
        git(dvc_project, "commit", "--quiet", "--message", tag)
        git(dvc_project, "tag", tag)
    return dvc_project


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def manifest(folder: Path) -> Manifest:
    return Store().fetch(str(folder)).manifest


def test_a_revision_and_the_same_table_in_the_working_tree_give_the_same_dataset(
    history: Path, tmp_path: Path, run_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--set", "prepare.conformers=1", "--set", "prepare.workers=1", "--set", "prepare.split=random"]
    command = ["prepare", "--input", "table.csv", *options]
    run_command("unimol2", *command, "--out", "by-rev", "--rev", "old", cwd=history)
    (tmp_path / "table.csv").write_text(OLD)
    run_command("unimol2", *command, "--out", "plain", cwd=tmp_path)
    by_rev, plain = manifest(history / "by-rev"), manifest(tmp_path / "plain")
    assert files(history / "by-rev") == files(tmp_path / "plain")
    assert (by_rev.digest, by_rev.fingerprint) == (plain.digest, plain.fingerprint)
    version = by_rev.run["data_version"]
    assert version["commit"] == git(history, "rev-parse", "old")
    assert version["dvc"]["table.csv"].startswith("md5:")
    assert version["modified"] is False
    assert "data_version" not in plain.run
    assert (history / "table.csv").read_text() == NEW
    assert not list(history.glob(".draft-*"))

    monkeypatch.chdir(history)
    newer = run(PARAMS, PrepareInputs("table.csv"), "newer")
    assert newer.digest != by_rev.digest
    assert manifest(history / "newer").run["data_version"]["dvc"] != version["dvc"]
    # What is there already was made from the same, and is found whichever way the table comes.
    git(history, "checkout", "--quiet", "old")
    subprocess.run([sys.executable, "-m", "dvc", "checkout", "--quiet"], cwd=history, check=True)
    assert run(PARAMS, PrepareInputs("table.csv"), "by-rev").digest == by_rev.digest


def test_a_refusal_names_path_and_revision(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(history)
    with pytest.raises(UserError, match=r"none\.csv at revision old .*not there"):
        run(PARAMS, PrepareInputs("none.csv", rev="old"), "out")
    with pytest.raises(TableError, match=r"^table\.csv: .*\(as of revision old\)"):
        run(PARAMS, PrepareInputs("table.csv", smiles_column="structure", rev="old"), "out")
    with pytest.raises(TableError, match=r"s3://bucket/table\.csv: rev is for tables in a Git repository"):
        run(PARAMS, PrepareInputs("s3://bucket/table.csv", rev="old"), "out")
