"""Why a molecule cannot be used."""

from typing import Literal

RejectionStage = Literal["read", "parse", "standardise", "deduplicate", "conformers", "features"]


class Rejected(Exception):  # noqa: N818 - it is a verdict on one molecule, not an error of the program
    """One molecule (or row) cannot be used; it goes to the reject ledger.

    Attributes:
        stage: Where it was given up.
        reason: Why, for a person.
    """

    def __init__(self, stage: RejectionStage, reason: str) -> None:
        super().__init__(stage, reason)
        self.stage: RejectionStage = stage
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"
