"""What the training loop knows of its past, and what a checkpoint keeps of it besides the engine."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class LoopState:
    """The loop's position and its record."""

    step: int = 0
    """Steps taken, skipped ones included."""
    best: float = math.inf
    """The lowest `judgement` of a validation."""
    best_step: int = -1
    stale: int = 0
    """Validations since the best one."""
    skipped: int = 0
    """Steps whose gradient was not finite, and which left the weights as they were."""
    skipped_in_a_row: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)
    """What `continuation.settings_used` says of the starts until now."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; infinity, which JSON lacks, becomes None."""
        return {**asdict(self), "best": None if math.isinf(self.best) else self.best}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "LoopState":
        """What `to_json` gave."""
        best = value["best"]
        return cls(**{**value, "best": math.inf if best is None else best})

    def judge(self, worth: float) -> bool:
        """Take note of what a validation is worth; returns whether it is the best so far."""
        if worth < self.best:
            self.best, self.best_step, self.stale = worth, self.step, 0
            return True
        self.stale += 1
        return False

    def count(self, skipped: bool) -> None:
        """Take note of a step, which was skipped or not."""
        self.skipped += skipped
        self.skipped_in_a_row = self.skipped_in_a_row + 1 if skipped else 0
