"""What a predictor predicts: names, kinds and scales of its outputs."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import expit, softmax

from unimol2_tasks.datasets.views import View
from unimol2_tasks.params import PrepareParams

TargetKind = Literal["regression", "binary", "multiclass"]
Scaling = Literal["standard", "log", "none"]

_LARGEST_EXPONENT = 300.0
"""Of a logarithm that is taken back: squares and sums of such numbers are still finite."""


class Target(BaseModel):
    """One label that is predicted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: TargetKind
    classes: int = Field(1, ge=1)
    """Its number of outputs: K for multiclass, else 1."""
    scaling: Scaling = "none"
    """What is learnt. standard: (label - mean) / std; log: (ln label - mean) / std; none: the label."""
    mean: float = 0.0
    """Mean of the training labels, or of their logarithms; 0 where nothing is scaled."""
    std: float = 1.0
    """Standard deviation of the training labels, or of their logarithms; 1 where nothing is scaled."""
    class_weights: tuple[float, ...] = ()
    """What each class counts in the loss; empty: all 1."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its outputs: its own, or of a multi-class label `NAME=k` for class k."""
        if self.kind == "multiclass":
            return tuple(f"{self.name}={k}" for k in range(self.classes))
        return (self.name,)

    @property
    def logarithmic(self) -> bool:
        """Whether logarithms are learnt, of labels above 0."""
        return self.scaling == "log"

    def to_natural(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Network outputs `[..., classes]` in the label's unit, or as probabilities."""
        if self.kind == "multiclass":
            probabilities: NDArray[np.float64] = softmax(outputs, axis=-1)
            return probabilities
        if self.kind == "binary":
            probability: NDArray[np.float64] = expit(outputs)
            return probability
        values = outputs * self.std + self.mean
        if self.logarithmic:
            return np.exp(np.clip(values, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))
        return values


class Targets(BaseModel):
    """All labels that are predicted, and how molecules are made and seen for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: tuple[Target, ...]
    prepare: PrepareParams
    """How the training molecules were made; new ones are made the same way."""
    view: View = View()
    """What the network is shown of a molecule."""
    head: Literal["released", "multitask"] = "released"
    """What reads the labels off the molecule; see `FinetuneParams.head`."""

    @property
    def names(self) -> tuple[str, ...]:
        """`[T]` names of the labels."""
        return tuple(target.name for target in self.targets)

    @property
    def columns(self) -> tuple[str, ...]:
        """`[C]` names of the outputs."""
        return tuple(column for target in self.targets for column in target.columns)

    def columns_of(self, name: str) -> slice:
        """Which of the outputs belong to a label."""
        place = self.names.index(name)
        begin = sum(target.classes for target in self.targets[:place])
        return slice(begin, begin + self.targets[place].classes)

    def to_natural(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Network outputs `[..., C]` in label units; of classes, probabilities."""
        parts = [target.to_natural(outputs[..., self.columns_of(target.name)]) for target in self.targets]
        return np.concatenate(parts, axis=-1)
