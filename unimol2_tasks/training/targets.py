"""What a predictor predicts: names, kinds and scales of its outputs."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from unimol2_tasks.errors import UserError
from unimol2_tasks.params import FinetuneParams, PrepareParams

TargetKind = Literal["regression", "binary"]


class Target(BaseModel):
    """One output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: TargetKind
    mean: float = 0.0
    """Mean of the training labels, in the label's unit; 0 for classes."""
    std: float = 1.0
    """Standard deviation of the training labels; 1 for classes."""


class Targets(BaseModel):
    """All outputs, and how molecules were prepared for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: tuple[Target, ...]
    prepare: PrepareParams
    """How the training molecules were made; new ones are made the same way."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names in output order."""
        return tuple(target.name for target in self.targets)

    @property
    def binary(self) -> NDArray[np.bool_]:
        """`[T]` which outputs are classes."""
        return np.array([target.kind == "binary" for target in self.targets])

    @property
    def mean(self) -> NDArray[np.float64]:
        """`[T]` offsets."""
        return np.array([target.mean for target in self.targets])

    @property
    def std(self) -> NDArray[np.float64]:
        """`[T]` scales."""
        return np.array([target.std for target in self.targets])

    def to_natural(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Network outputs `[..., T]` as label units, or as probabilities for classes."""
        probability = 1.0 / (1.0 + np.exp(-np.clip(outputs, -60.0, 60.0)))
        return np.where(self.binary, probability, outputs * self.std + self.mean)


def choose_targets(
    labels: NDArray[np.float64],
    names: tuple[str, ...],
    train: NDArray[np.int64],
    params: FinetuneParams,
    prepare: PrepareParams,
) -> tuple[Targets, NDArray[np.int64]]:
    """Which labels to learn, of which kind and scale; scales come from the training split alone.

    Args:
        labels: `[n, T]` of the whole dataset, NaN where unknown.
        names: Their names.
        train: Positions of the training molecules.
        params: The wanted targets and their kind.
        prepare: How the dataset's molecules were made.

    Returns:
        The targets, and their positions among `names`.

    Raises:
        UserError: A wanted label is not in the dataset, has no training value, or is not binary.
    """
    wanted = params.targets or names
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise UserError(
            f"finetune.targets: no label column {', '.join(unknown) or '(any)'} in the dataset; "
            f"it has: {', '.join(names) or 'none'}"
        )
    positions = np.array([names.index(name) for name in wanted], dtype=np.int64)
    targets = tuple(_target(names[k], labels[:, k], train, params.task) for k in positions)
    return Targets(targets=targets, prepare=prepare), positions


def _target(name: str, labels: NDArray[np.float64], train: NDArray[np.int64], task: str) -> Target:
    known = labels[~np.isnan(labels)]
    training = labels[train]
    training = training[~np.isnan(training)]
    if not len(training):
        raise UserError(f"label {name}: no training molecule has a value; leave it out with finetune.targets")
    is_binary = bool(np.isin(known, (0.0, 1.0)).all())
    if task == "binary" and not is_binary:
        strange = known[~np.isin(known, (0.0, 1.0))][0]
        raise UserError(f"label {name}: finetune.task is binary, but a value is {strange:g}; expected 0 or 1")
    if task == "binary" or (task == "auto" and is_binary):
        return Target(name=name, kind="binary")
    std = float(training.std())
    return Target(name=name, kind="regression", mean=float(training.mean()), std=std if std > 0 else 1.0)
