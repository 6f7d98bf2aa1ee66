"""Which version of its data something was made from, as Git and DVC name it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unimol2_tasks.versioning.git import GitError, commit_of, git, toplevel, without_password

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DataVersion:
    """A version of one or more files in a repository."""

    paths: tuple[str, ...]
    """Seen from the repository's root; a folder that DVC keeps as a whole is one."""
    commit: str | None
    """The working tree's last commit, or that of the revision that was asked for; None: no commit yet."""
    modified: bool
    """What was read is not what that commit names."""
    repository: str | None = None
    """Address of the remote `origin`, without password; None: it has none."""
    dvc: dict[str, str] = field(default_factory=dict)
    """Path to DVC's hash, such as `md5:…`, as it is recorded for the data that was read; those that Git keeps
    are not among them."""


def version_of(files: Sequence[Path]) -> DataVersion | None:
    """The version of files as they lie there; None: no Git repository, or neither Git nor DVC keeps them.

    Args:
        files: Of one repository; what else there is has no version.
    """
    # Git's root has no links in it. A file may be one itself, into DVC's cache, and is not followed.
    paths = [file.parent.resolve() / file.name for file in files]
    root = toplevel(paths[0].parent)
    if root is None:
        return None
    outs = outs_of(root, paths)
    rest = [path for path in paths if not any(path.is_relative_to(out.path) for out in outs)]
    if any(not path.is_relative_to(root) or not _is_tracked(root, path) for path in rest):
        return None
    commit = commit_of(root, "HEAD")
    modified = commit is None or _differs(root, rest) or _differ(outs, root, commit, paths)
    return _described(root, rest, outs, commit, modified)


def version_at(root: Path, paths: Sequence[Path], commit: str) -> DataVersion:
    """The version of files at a commit.

    Args:
        root: The repository's root.
        paths: Where the files are, or were, below it.
        commit: The commit.
    """
    outs = outs_of(root, paths, commit)
    rest = [path for path in paths if not any(path.is_relative_to(out.path) for out in outs)]
    return _described(root, rest, outs, commit, modified=False)


@dataclass(frozen=True, slots=True)
class Out:
    """Data that DVC keeps."""

    path: Path
    hash: str
    changed: bool
    """What lies there is not what is recorded."""


def outs_of(root: Path, paths: Sequence[Path], commit: str | None = None) -> list[Out]:
    """The files and folders that DVC keeps and that hold some of the paths.

    Args:
        root: The Git repository's root.
        paths: Below it.
        commit: As recorded by this commit; none: by the working tree.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    project = _dvc_root(root, paths[0])
    if project is None:
        return []
    try:
        if commit is None:
            with Repo(str(project)) as repo:
                return _covering(repo, paths, project, compare=True)
        with Repo(str(project), rev=commit, subrepos=True, uninitialized=True) as repo:
            return _covering(repo, paths, root, compare=False)
    except DvcException as error:
        # The table itself can be read: that DVC's files cannot is no reason to refuse it.
        _LOGGER.warning("%s: DVC's version of the data is not known: %s", project, error)
        return []


def _covering(repo: Any, paths: Sequence[Path], root: Path, compare: bool) -> list[Out]:
    found = []
    for out in repo.index.outs:
        if out.protocol not in (None, "local") or not out.hash_info:
            continue
        # At a commit, DVC's paths begin at the repository's root.
        place = root / Path(out.fs_path).relative_to(repo.root_dir)
        if any(path.is_relative_to(place) for path in paths):
            recorded = f"{out.hash_info.name}:{out.hash_info.value}"
            found.append(Out(place, recorded, compare and bool(out.changed_checksum())))
    return found


def _dvc_root(root: Path, path: Path) -> Path | None:
    """The folder with `.dvc` that is responsible for a path."""
    inside = [folder for folder in path.parents if folder.is_relative_to(root)]
    return next((folder for folder in inside if (folder / ".dvc" / "config").is_file()), None)


def _differ(outs: Sequence[Out], root: Path, commit: str, paths: Sequence[Path]) -> bool:
    """Data was changed, or is newer than what the commit records of it."""
    if not outs:
        return False
    committed = {out.path: out.hash for out in outs_of(root, paths, commit)}
    return any(out.changed or committed.get(out.path) != out.hash for out in outs)


def _is_tracked(root: Path, path: Path) -> bool:
    return bool(git(root, "ls-files", "--", str(path)))


def _differs(root: Path, paths: Sequence[Path]) -> bool:
    """Whether a file that Git keeps differs from the last commit."""
    return bool(paths) and bool(git(root, "status", "--porcelain", "--", *map(str, paths)))


def _described(
    root: Path, rest: Sequence[Path], outs: Sequence[Out], commit: str | None, modified: bool
) -> DataVersion:
    try:
        origin = without_password(git(root, "remote", "get-url", "origin"))
    except GitError:
        origin = None
    hashes = {out.path.relative_to(root).as_posix(): out.hash for out in outs}
    names = sorted([*(path.relative_to(root).as_posix() for path in rest), *hashes])
    return DataVersion(tuple(names), commit, modified, origin, hashes)
