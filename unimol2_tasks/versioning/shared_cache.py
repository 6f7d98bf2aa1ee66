"""What a clone's DVC shares with the repository that it was made from: cache and remotes."""

from pathlib import Path
from typing import Any

from unimol2_tasks.versioning.source import Source

_LINKS = "reflink,hardlink,copy"
"""A clone lives as long as its run, and stages remove what they write anew: no need to copy data sets."""


def share_cache(project: Path, source: Source, folder: str, cache: Path | None) -> bool:
    """Point a clone to the shared cache, and to the remotes as they are set up on this machine.

    A remote's settings in `.dvc/config.local`, which may be credentials, are no part of a clone; from a
    repository on this machine they are taken over, and so are relative addresses. Only the owner may read
    them here.

    Args:
        project: The clone's folder with `.dvc`.
        source: What it was made from.
        folder: Where `.dvc` is in that.
        cache: The cache; none: see `clones.clone_for_run`.

    Returns:
        Whether there is a remote that DVC fetches from by default.
    """
    from dvc.config import Config

    original = source.folder / folder
    here = source.is_here and (original / ".dvc").is_dir()
    if cache is None:
        cache = _cache_of(original) if here else source.home / "cache"
    path = project / ".dvc" / "config.local"
    path.touch(mode=0o600)
    config = Config(str(project / ".dvc"), validate=False)
    with config.edit("local", validate=False) as local:
        local["cache"] = {"dir": str(cache.absolute()), "type": _LINKS}
        # What DVC writes for Git is added to the index, of which the branch's commit is made.
        local["core"]["autostage"] = True
        if here:
            _take_over(local, Config(str(original / ".dvc"), validate=False))
    return bool(Config(str(project / ".dvc"))["core"].get("remote"))


def _cache_of(project: Path) -> Path:
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        return Path(repo.cache.local_cache_dir)


def _take_over(local: dict[str, Any], original: Any) -> None:
    """Copy the remotes of a repository; DVC reads relative paths as absolute ones."""
    for level in ("repo", "local"):
        settings = original.load_one(level)
        for name, remote in settings["remote"].items():
            local["remote"].setdefault(name, {}).update({key: _plain(value) for key, value in remote.items()})
        if "remote" in settings["core"]:
            local["core"]["remote"] = settings["core"]["remote"]


def _plain(value: Any) -> Any:
    # DVC marks what was relative and would write it relative to the clone.
    return str(value) if isinstance(value, str) else value
