"""Lock files on a branch: committed beside the work of people, never into it."""

from pathlib import Path

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning.clones import Clone
from unimol2_tasks.versioning.git import GitError, commit_of, git
from unimol2_tasks.versioning.source import Source

_TRAILER = "Reproduced-From"
_ATTEMPTS = 5
"""Another run may be quicker with the same branch; then its commit becomes a parent of ours."""
_NAME = ("-c", "user.name=unimol2 reproduce", "-c", "user.email=unimol2@localhost")


def refuse_branch(source: Source, branch: str) -> None:
    """Check that a branch can take the lock files, before hours of work.

    Raises:
        UserError: The name is impossible, somebody has the branch checked out, or it holds other work than
            that of earlier runs.
    """
    try:
        git(source.folder, "check-ref-format", "--branch", branch)
    except GitError:
        raise UserError(f"commit_branch {branch!r}: not a name for a branch") from None
    if source.is_here and f"branch refs/heads/{branch}" in _checked_out(source.folder):
        raise UserError(
            f"commit_branch {branch!r}: is checked out in {source.repository}; name another one and "
            "merge it when it suits"
        )
    _refuse_foreign(source, source.folder, branch, commit_of(source.folder, f"refs/heads/{branch}"))


def commit_lock(clone: Clone, branch: str) -> str:
    """Commit the lock files of a clone on a branch of the repository that it was made from.

    The commit's tree is that of the reproduced commit with the new lock files, its parents are that commit
    and the branch's last one: the branch only ever grows, and no working tree is touched.

    Args:
        clone: Where the stages ran.
        branch: A new one, or one of earlier runs.

    Returns:
        The commit; where nothing has changed, the branch's last one or the reproduced one.

    Raises:
        UserError: The branch holds other work, or the repository refuses it.
    """
    # What Git kept already, such as metrics without cache; lock files and the like DVC has added itself. Not
    # what stages leave lying about.
    git(clone.root, "add", "--update")
    tree = git(clone.root, "write-tree")
    error = None
    for _ in range(_ATTEMPTS):
        tip = _fetched(clone, branch)
        _refuse_foreign(clone.source, clone.root, branch, tip)
        commit = _commit(clone, tree, tip)
        if commit == tip:
            return commit
        try:
            git(clone.root, "push", "--quiet", "origin", f"{commit}:refs/heads/{branch}")
        except GitError as refused:
            error = refused
        else:
            return commit
    raise UserError(f"{clone.source.repository}: refuses branch {branch!r}: {error}")


def _checked_out(repository: Path) -> list[str]:
    return git(repository, "worktree", "list", "--porcelain").splitlines()


def _fetched(clone: Clone, branch: str) -> str | None:
    """The last commit of the repository's branch; None: there is no such branch."""
    listed = git(clone.root, "ls-remote", "--heads", "origin", f"refs/heads/{branch}")
    if not listed:
        return None
    git(clone.root, "fetch", "--quiet", "origin", f"refs/heads/{branch}")
    return listed.split()[0]


def _refuse_foreign(source: Source, repository: Path, branch: str, tip: str | None) -> None:
    if tip is None or _is_ancestor(repository, tip, source.commit):
        return
    if not git(repository, "log", "-1", f"--format=%(trailers:key={_TRAILER},valueonly)", tip):
        raise UserError(
            f"commit_branch {branch!r}: holds commits that are neither a part of {source.commit[:12]} nor of "
            "an earlier run; name another branch"
        )


def _is_ancestor(repository: Path, commit: str, other: str) -> bool:
    try:
        git(repository, "merge-base", "--is-ancestor", commit, other)
    except GitError:
        return False
    return True


def _commit(clone: Clone, tree: str, tip: str | None) -> str:
    """The commit to push, or the one that holds the same already."""
    base = clone.source.commit
    if tip is not None and git(clone.root, "rev-parse", f"{tip}^{{tree}}") == tree:
        return tip
    if tip is None and git(clone.root, "rev-parse", f"{base}^{{tree}}") == tree:
        return base
    parents = [base] if tip is None or _is_ancestor(clone.root, tip, base) else [tip, base]
    message = f"Reproduce {base[:12]}\n\n{_TRAILER}: {base}"
    options = [option for parent in parents for option in ("-p", parent)]
    return git(clone.root, *_NAME, "commit-tree", tree, *options, "-m", message)
