"""The version of the code that makes artifacts."""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from unimol2_tasks import __version__


@cache
def code_version() -> str:
    """The release and a digest of the installed sources that determine artifacts; flows only chain them.

    An edited working copy has another version than the release it grew from, so that no cache and no
    resumed run mixes the two.
    """
    digest = hashlib.sha256()
    for package in ("unimol2_model", "unimol2_tasks"):
        for name, text in _sources(package):
            digest.update(f"{package}/{name}\0".encode())
            digest.update(text)
    return f"{__version__}+{digest.hexdigest()[:12]}"


def _sources(package: str) -> list[tuple[str, bytes]]:
    root = Path(str(files(package)))
    return [
        (path.relative_to(root).as_posix(), path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.suffix in {".py", ".jinja"} and path.is_file()
    ]
