"""DVC and Git: run the stages of a project, fetch and store data, and name data versions.

DVC itself runs as a process of its own, or is imported where it is needed: importing this package is cheap.
"""

from unimol2_tasks.versioning.clones import Clone, clone_for_run
from unimol2_tasks.versioning.commands import pull, push, reproduce, run_dvc
from unimol2_tasks.versioning.data_version import DataVersion, version_of
from unimol2_tasks.versioning.lock_branch import commit_lock, refuse_branch
from unimol2_tasks.versioning.lock_file import read_locks
from unimol2_tasks.versioning.pipeline import reproduce_stage, stages_in_order
from unimol2_tasks.versioning.reproduction import Reproduction, StageResult
from unimol2_tasks.versioning.revision_data import check_revision, table_at
from unimol2_tasks.versioning.source import Source, find_source

__all__ = [
    "Clone",
    "DataVersion",
    "Reproduction",
    "Source",
    "StageResult",
    "check_revision",
    "clone_for_run",
    "commit_lock",
    "find_source",
    "pull",
    "push",
    "read_locks",
    "refuse_branch",
    "reproduce",
    "reproduce_stage",
    "run_dvc",
    "stages_in_order",
    "table_at",
    "version_of",
]
