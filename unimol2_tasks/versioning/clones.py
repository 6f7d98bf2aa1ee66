"""One clone per run: no run sees what another one, or a person, is doing to the working tree."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning.git import GitError, git
from unimol2_tasks.versioning.owned_process import end_marked
from unimol2_tasks.versioning.shared_cache import share_cache
from unimol2_tasks.versioning.source import Source, locked

_COMMIT_LETTERS = 16


@dataclass(frozen=True, slots=True)
class Clone:
    """A working tree of one run's own."""

    root: Path
    project: Path
    """The folder in it with `dvc.yaml`."""
    source: Source
    has_remote: bool
    """DVC has a remote by default to fetch from."""


@contextmanager
def clone_for_run(source: Source, folder: str = ".", cache: Path | None = None) -> Iterator[Clone]:
    """A clone of a repository at one commit, removed once the run is through.

    That of a run that failed or was killed stays, with its checkpoints: the next run of the same commit goes
    on in it, once what a killed run left running is ended. It is removed when such a run succeeds, and when
    another commit is reproduced.

    Args:
        source: The repository.
        folder: The folder in it with `dvc.yaml`.
        cache: DVC's cache; none: that of the repository where it is a folder of this machine, else one that
            all runs of this repository share.

    Raises:
        UserError: The folder leads out of the repository, or holds no DVC project at this commit.
    """
    if PurePosixPath(folder).is_absolute() or ".." in PurePosixPath(folder).parts:
        raise UserError(f"{folder!r}: leads out of the repository; give a folder inside it")
    clones = source.home / "clones"
    name = source.commit[:_COMMIT_LETTERS]
    _remove_idle(clones, lambda lock: not lock.name.startswith(name))
    for number in count():
        with locked(clones / f"{name}-{number}.lock", wait=False) as held:
            if not held:
                continue
            root = clones / f"{name}-{number}"
            end_marked(str(root))
            if not root.is_dir():
                _make(source, root)
            project = root / folder
            _refuse_no_project(source, project, folder)
            has_remote = share_cache(project, source, folder, cache)
            yield Clone(root, project, source, has_remote)
            shutil.rmtree(root)
        _remove_idle(clones, lambda lock: lock.name.startswith(name))
        return


def _make(source: Source, root: Path) -> None:
    draft = _draft(root)
    try:
        _copy(source, draft)
    except GitError:
        # Somebody may have repacked the repository meanwhile, so that files went away under Git.
        _copy(source, draft)
    # Where somebody pushes by hand, it goes to the repository and not to its mirror.
    git(draft, "remote", "set-url", "origin", source.repository)
    git(draft, "checkout", "--quiet", "--detach", source.commit)
    draft.rename(root)


def _copy(source: Source, draft: Path) -> None:
    shutil.rmtree(draft, ignore_errors=True)
    # From a path all objects come along, even those that no branch or tag leads to.
    git(draft.parent, "clone", "--quiet", "--no-checkout", "--local", "--", str(source.folder), str(draft))


def _draft(root: Path) -> Path:
    """Where a clone is until it is whole."""
    return root.with_suffix(".draft")


def _refuse_no_project(source: Source, project: Path, folder: str) -> None:
    where = f"{source.repository} at {source.commit[:12]}"
    if not (project / "dvc.yaml").is_file():
        raise UserError(f"{where}: no dvc.yaml in {folder!r}; give `folder`, or commit the file")
    if not (project / ".dvc").is_dir():
        raise UserError(f"{where}: no .dvc in {folder!r}; run `dvc init` and commit, or give `folder`")


def _remove_idle(clones: Path, concerns: Callable[[Path], bool]) -> None:
    """Remove what runs left behind, where no process is at work any more."""
    for path in filter(concerns, clones.glob("*.lock")):
        with locked(path, wait=False) as held:
            if not held:
                continue
            root = path.with_suffix("")
            end_marked(str(root))
            shutil.rmtree(root, ignore_errors=True)
            shutil.rmtree(_draft(root), ignore_errors=True)
            path.unlink()
