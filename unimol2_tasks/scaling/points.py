"""The measured losses that a law is fitted to and judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One measured validation loss."""

    run: str
    """Name of the run, for messages; points of one run are one curve."""
    millions: float
    """Model size in millions of parameters."""
    steps: float
    """Optimiser steps done when the loss was measured."""
    loss: float
    """Validation loss, positive."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Points as arrays, in their order."""

    millions: FloatArray
    steps: FloatArray
    loss: FloatArray

    @classmethod
    def of(cls, points: Sequence[CurvePoint]) -> Columns:
        """Transpose; [n] each."""
        names = ("millions", "steps", "loss")
        return cls(*(np.array([getattr(point, name) for point in points], np.float64) for name in names))


def sizes_of(points: Sequence[CurvePoint]) -> tuple[float, ...]:
    """Distinct model sizes in millions, ascending."""
    return tuple(sorted({float(point.millions) for point in points}))


def rows_by_run(points: Sequence[CurvePoint]) -> list[npt.NDArray[np.intp]]:
    """The places of each run's points, by step; runs in the order of their first point."""
    runs: dict[str, list[int]] = {}
    for row, point in enumerate(points):
        runs.setdefault(point.run, []).append(row)
    return [np.array(sorted(rows, key=lambda row: points[row].steps)) for rows in runs.values()]


def check_values(points: Sequence[CurvePoint]) -> None:
    """Refuse what a power law cannot describe.

    Raises:
        ValueError: There are no points, or a size, step or loss is not positive and finite.
    """
    if not points:
        raise ValueError("the scaling law needs measured points, got none")
    for point in points:
        for name in ("millions", "steps", "loss"):
            value = getattr(point, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(
                    f"run {point.run!r}: {name} must be positive and finite, got {value} "
                    f"(at step {point.steps}); leave the point out, or correct the run's curve"
                )
