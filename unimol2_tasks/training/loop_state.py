"""What the training loop knows of its past, and what a checkpoint keeps of it besides the engine."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class LoopState:
    """The loop's position and its record."""

    step: int = 0
    """Steps taken, skipped ones included."""
    best_loss: float = math.inf
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
        return {**asdict(self), "best_loss": None if math.isinf(self.best_loss) else self.best_loss}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "LoopState":
        """What `to_json` gave."""
        best = value["best_loss"]
        return cls(**{**value, "best_loss": math.inf if best is None else best})

    def judge(self, loss: float) -> bool:
        """Take note of a validation loss; returns whether it is the best so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.stale = loss, self.step, 0
            return True
        self.stale += 1
        return False

    def count(self, skipped: bool) -> None:
        """Take note of a step, which was skipped or not."""
        self.skipped += skipped
        self.skipped_in_a_row = self.skipped_in_a_row + 1 if skipped else 0
