"""What the parts of a split data set are called."""

from typing import Literal

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

SYNONYMS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
"""What tables call them, in lower case."""
EXPECTED_NAMES = "expected train, valid or test (training, validation, val, dev and testing are understood)"
