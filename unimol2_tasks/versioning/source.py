"""The repository that is reproduced: a folder of this machine or an address, at one commit."""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning.git import GitError, commit_of, git, has_password, without_password

_IN_FRONT = ("--config", "gc.autoDetach=false", "--config", "maintenance.autoDetach=false")
"""What Git tidies after a fetch it then tidies under our lock, and not while the next one fetches."""
_ADDRESS = re.compile(r"^(https?|ssh|git|file)://|^[\w.-]+@[\w.-]+:")


@dataclass(frozen=True, slots=True)
class Source:
    """A repository at one commit."""

    repository: str
    """An absolute path, or an address that `git clone` takes."""
    commit: str
    folder: Path
    """Where its objects are on this machine: the repository itself, or a mirror of it."""
    home: Path
    """What reproducing this repository keeps on this machine: mirror, clones, and maybe a cache."""

    @property
    def is_here(self) -> bool:
        """The repository is a folder of this machine, not an address."""
        return self.folder == Path(self.repository)


def find_source(repository: str, rev: str, work: Path) -> Source:
    """Find a repository and the commit that a revision of it names.

    Args:
        repository: A folder inside a Git repository, or an `https://`, `ssh://` or `user@host:` address.
        rev: A branch, a tag, a commit, or `HEAD`.
        work: Folder for what is kept on this machine.

    Raises:
        UserError: It is no repository, cannot be reached or has no such revision, or the address holds a
            password or token, which would be shown and stored with the run.
    """
    if has_password(repository):
        raise UserError(
            f"{without_password(repository)}: the address holds a user name or token, which would be stored "
            "with the run; leave it out and give it to Git's credential helper, or use SSH"
        )
    if _ADDRESS.match(repository):
        home = _home(work, repository)
        folder, name = _mirror(repository, home / "mirror.git"), repository
    else:
        folder = _local(repository)
        home, name = _home(work, str(folder)), str(folder)
    commit = commit_of(folder, rev)
    if commit is None:
        raise UserError(f"{repository}: has no revision {rev!r}; give a branch, a tag or a commit of it")
    return Source(name, commit, folder, home)


def _home(work: Path, repository: str) -> Path:
    return work.absolute() / hashlib.sha256(repository.encode()).hexdigest()[:12]


def _local(repository: str) -> Path:
    folder = Path(repository).expanduser()
    if repository.startswith("-") or not folder.is_dir():
        raise UserError(
            f"{repository!r}: neither a folder of this machine nor an address that starts with https://, "
            "ssh:// or user@host:"
        )
    try:
        if git(folder, "rev-parse", "--is-bare-repository") == "true":
            return Path(git(folder, "rev-parse", "--absolute-git-dir"))
        return Path(git(folder, "rev-parse", "--show-toplevel"))
    except GitError as error:
        raise UserError(f"{repository}: not a Git repository that can be read ({error})") from None


def _mirror(address: str, mirror: Path) -> Path:
    """All of a remote repository on this machine, brought up to date."""
    with locked(mirror.with_suffix(".lock"), wait=True):
        try:
            if mirror.is_dir():
                _remove_lock_files(mirror)
                git(mirror, "fetch", "--quiet", "--prune", "origin")
            else:
                draft = mirror.with_suffix(".draft")
                shutil.rmtree(draft, ignore_errors=True)
                git(mirror.parent, "clone", "--quiet", "--mirror", *_IN_FRONT, "--", address, str(draft))
                draft.rename(mirror)
        except GitError as error:
            raise UserError(f"{address}: cannot be fetched: {error}") from None
    return mirror


def _remove_lock_files(mirror: Path) -> None:
    """Remove what a killed Git leaves: each would make every later one fail that wants to write there.

    Nobody but `_mirror` writes to a mirror, one process at a time, and no branch may end in `.lock`.
    """
    for path in mirror.rglob("*.lock"):
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[bool]:
    """Hold a lock file, which the kernel frees whatever ends this process.

    Args:
        path: The file; only who holds it may remove it, and only where nobody waits.
        wait: Until somebody else frees it; else the lock is not had.

    Yields:
        Whether it is held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _has_locked(descriptor, path, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    finally:
        os.close(descriptor)


def _has_locked(descriptor: int, path: Path, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation)
        # Whoever had it may have removed it, and somebody else have made another one of this name.
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
