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
    best_loss: float = math.inf
    """Of that validation: the lowest of equally good ones."""
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
        return {name: None if value == math.inf else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "LoopState":
        """What `to_json` gave."""
        known: dict[str, Any] = {name: math.inf if plain is None else plain for name, plain in value.items()}
        return cls(**known)

    def judge(self, worth: float, loss: float) -> bool:
        """Take note of what a validation is worth; returns whether it is the best so far.

        Between equals, of which accuracy and ROC AUC of few molecules have many, the loss decides.
        """
        if (worth, loss) < (self.best, self.best_loss):
            self.best, self.best_loss, self.best_step, self.stale = worth, loss, self.step, 0
            return True
        self.stale += 1
        return False

    def count(self, skipped: bool) -> None:
        """Take note of a step, which was skipped or not."""
        self.skipped += skipped
        self.skipped_in_a_row = self.skipped_in_a_row + 1 if skipped else 0
