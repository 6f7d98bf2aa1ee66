"""What reproducing a project came to, as tasks and flows return it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from unimol2_tasks.versioning.lock_file import Stages

Outcome = Literal["unchanged", "restored", "ran"]


class StageResult(BaseModel):
    """What became of one stage."""

    model_config = ConfigDict(frozen=True)

    stage: str
    outcome: Outcome
    """unchanged: nothing to do; restored: an earlier run had made it of the same inputs; ran: made now."""
    seconds: float
    outs: dict[str, str]
    """Path to DVC hash of every output."""
    metrics: dict[str, float]
    """`path:key` to value of the metrics among the outputs; the file's path is seen from the project."""


class Reproduction(BaseModel):
    """What reproducing a revision of a project came to."""

    model_config = ConfigDict(frozen=True)

    repository: str
    commit: str
    """The commit that was reproduced."""
    stages: tuple[StageResult, ...]
    """In the order in which they ran."""
    lock: dict[str, Stages]
    """Path of every `dvc.lock` to its stages: their commands, and hashes of inputs and outputs."""
    branch: str | None = None
    """Where the lock files were committed; None: nowhere."""
    branch_commit: str | None = None
