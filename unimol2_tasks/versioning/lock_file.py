"""`dvc.lock` as values."""

from pathlib import Path
from typing import Any

import yaml

from unimol2_tasks.errors import UserError

Stages = dict[str, dict[str, object]]


def read_locks(project: Path) -> dict[str, Stages]:
    """The stages of every `dvc.lock` below a folder, by the file's path.

    Raises:
        UserError: A file is not YAML with stages.
    """
    files = sorted(path for path in project.rglob("dvc.lock") if ".dvc" not in path.parts)
    return {path.relative_to(project).as_posix(): _stages(path) for path in files}


def _stages(path: Path) -> Stages:
    content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a lock file of DVC; restore it with `git checkout`")
    stages: Stages = content.get("stages") or {}
    return stages
