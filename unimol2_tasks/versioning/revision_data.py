"""A table as it was at a revision of the repository that holds it."""

import glob
import hashlib
from pathlib import Path
from typing import Any

from unimol2_tasks.errors import TableError, UserError
from unimol2_tasks.versioning.data_version import DataVersion, version_at
from unimol2_tasks.versioning.git import commit_of, toplevel

_CHUNK = 1 << 20


def table_at(table: str, rev: str, place: Path) -> tuple[str, DataVersion]:
    """Copy a table as of a revision to a private place; the working tree is left alone.

    Git gives what it keeps; what DVC keeps comes from its cache, else from its remote, and has the recorded
    hash or is refused.

    Args:
        table: A file, folder or pattern in a Git repository; it need not be there any more.
        rev: A branch, a tag or a commit.
        place: An empty folder.

    Returns:
        The address of the copy, a file, folder or pattern like `table`, and the version that it is.

    Raises:
        UserError: The table is in no repository, the revision is unknown or has no such table, or its data
            cannot be had or is damaged; names path and revision.
    """
    root, commit = _resolve(table, rev)
    # As `version_of` does it: the folder may be reached through a link, and the file be one itself.
    path = Path(table).parent.resolve() / Path(table).name
    if not path.is_relative_to(root):
        path = path.resolve()
    inside = path.relative_to(root).as_posix()
    what = f"{table} at revision {rev} ({commit[:12]})"
    files = _copy(root, commit, inside, place, what)
    return str(place / inside), version_at(root, [root / file for file in files], commit)


def check_revision(table: str, rev: str) -> str:
    """The commit that a revision of a table's repository names today.

    Raises:
        UserError: The table is in no Git repository, or this has no such revision.
    """
    return _resolve(table, rev)[1]


def _resolve(table: str, rev: str) -> tuple[Path, str]:
    root = toplevel(Path(table).absolute())
    if root is None:
        raise UserError(f"{table}: in no Git repository, so that it has no revision {rev!r}; leave out rev")
    commit = commit_of(root, rev)
    if commit is None:
        raise UserError(f"{table}: its repository {root} has no revision {rev!r}")
    return root, commit


def _copy(root: Path, commit: str, inside: str, place: Path, what: str) -> list[str]:
    """Copy what a path or pattern names; the files' paths, seen from the root."""
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        files = DVCFileSystem(str(root), rev=commit, subrepos=True)
        found = sorted(_names(files, inside))
        if not found:
            raise TableError(f"{what}: not there")
        for name in found:
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(f"/{name}", str(target))
            _refuse_damaged(target, files.info(f"/{name}"), what)
    except (DvcException, OSError) as error:
        raise UserError(f"{what}: cannot be had: {error}") from error
    return found


def _names(files: Any, inside: str) -> list[str]:
    if files.isfile(f"/{inside}"):
        return [inside]
    pattern = inside if glob.has_magic(inside) else f"{inside}/*"
    return [name.lstrip("/") for name in files.glob(f"/{pattern}") if files.isfile(name)]


def _refuse_damaged(path: Path, info: dict[str, Any], what: str) -> None:
    """Compare with the hash that DVC has recorded; Git's own objects are checked by Git."""
    recorded = (info.get("dvc_info") or {}).get("md5")
    if recorded is None:
        return
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != recorded:
        raise UserError(
            f"{what}: damaged: md5 {digest.hexdigest()}, DVC has recorded {recorded}; fetch it anew into the "
            "cache, or store it again on the remote"
        )
