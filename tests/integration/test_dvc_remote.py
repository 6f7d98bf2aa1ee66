"""The S3 remote as docs/dvc.md sets it up, over HTTP: from one clone to another, and what is damaged."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from unimol2_tasks import versioning
from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning.git import git

BUCKET = "unimol2"
TEXT = "smiles,gap_eV\n" + "\n".join(f"{'C' * number},{number}" for number in range(1, 200)) + "\n"


def remote_commands(project_root: Path, block: str) -> list[list[str]]:
    """The commands of docs/dvc.md that set up a remote."""
    page = (project_root / "docs" / "dvc.md").read_text(encoding="utf-8")
    found = [text for text in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if block in text]
    assert len(found) == 1
    return [words for line in found[0].splitlines() if (words := shlex.split(line, comments=True))]


@pytest.fixture
def dvc() -> Callable[..., str]:
    def run(project: Path, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=project, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def pushed(
    s3_endpoint: str,
    s3_environment: str,
    dvc_project: Path,
    project_root: Path,
    dvc: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A project whose data were pushed to the server, with the documented settings and no environment."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    place = f"{s3_environment}/{dvc_project.parent.name}"
    for words in [
        *remote_commands(project_root, "verify true"),
        *remote_commands(project_root, "endpointurl"),
    ]:
        if words[0] == "dvc":
            meant = {"s3://BUCKET/dvc": place, "https://s3.example.org": s3_endpoint}
            dvc(dvc_project, *(meant.get(word, word) for word in words[1:]))
        else:
            assert words[0] == "export"
            monkeypatch.setenv(*words[1].split("=", 1))
    for name, value in (("access_key_id", "key"), ("secret_access_key", "secret")):
        dvc(dvc_project, "remote", "modify", "--local", "storage", name, value)
    (dvc_project / "table.csv").write_text(TEXT)
    dvc(dvc_project, "add", "table.csv")
    git(dvc_project, "add", "--all")
    git(dvc_project, "commit", "--quiet", "--message", "Data")
    versioning.push(dvc_project)
    return dvc_project


@pytest.fixture
def clone(pushed: Path, tmp_path: Path) -> Path:
    """Another machine's clone, with credentials of its own."""
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(pushed), str(folder))
    local = (pushed / ".dvc" / "config.local").read_text()
    (folder / ".dvc" / "config.local").write_text(local)
    return folder


def test_what_one_clone_pushes_another_one_pulls(pushed: Path, clone: Path) -> None:
    assert "secret" not in "".join(
        path.read_text() for path in (clone / ".dvc" / "config", clone / "table.csv.dvc")
    )
    assert not (clone / "table.csv").exists()
    versioning.pull(clone)
    assert (clone / "table.csv").read_text() == TEXT


def test_an_object_that_was_damaged_on_the_remote_is_refused(
    pushed: Path, clone: Path, s3_endpoint: str, tmp_path: Path
) -> None:
    client = boto3.client(
        "s3", endpoint_url=s3_endpoint, aws_access_key_id="key", aws_secret_access_key="secret"
    )
    prefix = pushed.parent.name
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    (key,) = [entry["Key"] for entry in found if "/files/md5/" in entry["Key"]]
    client.put_object(Bucket=BUCKET, Key=key, Body=TEXT.replace("9", "8").encode())
    with pytest.raises(UserError, match="dvc pull failed"):
        versioning.pull(clone)
    assert not (clone / "table.csv").exists()


def test_a_revision_of_a_table_comes_from_the_remote_where_the_cache_has_it_not(
    pushed: Path, clone: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    copy, version = versioning.table_at(str(clone / "table.csv"), "HEAD", place)
    assert Path(copy).read_text() == TEXT
    assert version.commit == git(pushed, "rev-parse", "HEAD")
