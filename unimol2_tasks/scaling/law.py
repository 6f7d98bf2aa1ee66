"""The scaling law: the validation loss that a model size reaches after a number of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

ThirdTerm = Literal["compute", "constant", "none"]
"""What follows a·M^b + c·S^d: e·C^f (the paper), a loss e that nothing removes, or no term at all."""


@dataclass(frozen=True, slots=True)
class ScalingLaw:
    """L(M, S, C) = a·M^b + c·S^d + e·C^f (Uni-Mol2, "Scaling law").

    M is in millions of parameters, S in optimiser steps, and C = M·S stands for the compute: the law
    fixes compute only up to a constant factor, which `e` absorbs.

    Raises:
        ValueError: If a constant is not finite, a, c or e is negative, or an exponent is positive
            (the loss would grow with size or training).
    """

    a: float
    """Weight of the size term; loss units."""
    b: float
    """Exponent of the size term; not positive."""
    c: float
    """Weight of the step term; loss units."""
    d: float
    """Exponent of the step term; not positive."""
    e: float
    """Weight of the compute term; loss units."""
    f: float
    """Exponent of the compute term; not positive."""

    def __post_init__(self) -> None:
        for name in ("a", "c", "e"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(
                    f"ScalingLaw.{name} must be finite and not negative, got {getattr(self, name)}"
                )
        for name in ("b", "d", "f"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) <= 0):
                raise ValueError(
                    f"ScalingLaw.{name} must be finite and not positive, got {getattr(self, name)}"
                )

    @classmethod
    def paper(cls) -> ScalingLaw:
        """Return the law with the constants printed in the paper, fitted on 42M to 310M."""
        return cls(a=2.660, b=-1.137, c=1.848, d=-0.225, e=0.588, f=-1.479)

    def predict(self, millions: npt.ArrayLike, steps: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Predict the validation loss of models of given sizes after given numbers of steps.

        Args:
            millions: Model sizes in millions of parameters, positive; any shape.
            steps: Optimiser steps, positive; broadcast against `millions`.

        Returns:
            Losses in the broadcast shape; zero-dimensional for two numbers, so `float(...)` works.

        Raises:
            ValueError: If a size or a number of steps is not positive.
        """
        return np.asarray(sum(self.terms(millions, steps).values()))

    def terms(self, millions: npt.ArrayLike, steps: npt.ArrayLike) -> dict[str, npt.NDArray[np.float64]]:
        """The parts of the predicted loss: `size`, `steps` and `compute`; arguments as for `predict`.

        Raises:
            ValueError: If a size or a number of steps is not positive.
        """
        m = np.asarray(millions, dtype=np.float64)
        s = np.asarray(steps, dtype=np.float64)
        for name, values in (("millions", m), ("steps", s)):
            if not np.all(values > 0):
                raise ValueError(f"the scaling law needs positive {name}, got {values.min()}")
        return {
            "size": np.asarray(self.a * m**self.b),
            "steps": np.asarray(self.c * s**self.d),
            "compute": np.asarray(self.e * (m * s) ** self.f),
        }
