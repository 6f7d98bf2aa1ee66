"""Git, called with arguments and never through a shell."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from unimol2_tasks.errors import UserError

_WHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
)
"""Set inside Git's hooks, and stronger than the working folder."""
_SECRET = re.compile(r"(?<=http://)[^/\s]+@|(?<=https://)[^/\s]+@|(?<=://)[^/\s]*:[^/\s]*@", re.IGNORECASE)
"""What a URL says of who asks. Over HTTP a token may stand where a user's name does; over SSH a name alone is
none."""


class GitError(UserError):
    """Git refused; the message holds what it said."""


def git(folder: Path, *arguments: str) -> str:
    """What a Git command prints, without white space around it.

    Raises:
        GitError: It failed, or Git is not on this machine.
    """
    program = shutil.which("git")
    if program is None:
        raise GitError("git is not on this machine; install it")
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        # Nobody is there to type a password.
        env={**without_repository(), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise GitError(without_password(f"git {arguments[0]} failed in {folder}: {said}"))
    return done.stdout.strip()


def without_repository() -> dict[str, str]:
    """The environment, but for what would make Git work in another repository than that of the folder."""
    return {name: value for name, value in os.environ.items() if name not in _WHERE}


def has_password(address: str) -> bool:
    """Whether a URL holds a password or token, or over HTTP a user name, which may be one."""
    return _SECRET.search(address) is not None


def without_password(text: str) -> str:
    """The text, with the passwords, tokens and HTTP user names of its URLs blotted out."""
    return _SECRET.sub("***@", text)


def toplevel(path: Path) -> Path | None:
    """The root of the working tree that holds a path, which need not exist itself; None: no repository."""
    folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
    try:
        return Path(git(folder, "rev-parse", "--show-toplevel"))
    except GitError:
        return None


def commit_of(repository: Path, rev: str) -> str | None:
    """The commit that a revision names; None: none.

    Raises:
        GitError: The revision could be taken for an option.
    """
    if not rev or rev.startswith("-"):
        raise GitError(f"{rev!r}: not a revision; give a branch, a tag or a commit")
    try:
        return git(repository, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
    except GitError:
        return None
