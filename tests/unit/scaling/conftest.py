"""Curves that follow a known law."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.scaling.points import CurvePoint

Curves = Callable[..., list[CurvePoint]]


@pytest.fixture(scope="session")
def curves() -> Curves:
    """Losses that follow a law, the paper's by default, with relative noise.

    `curves(sizes, steps, law=…, noise=0.003, seed=0)`; neighbouring points share half of their noise.
    """

    def make(
        sizes: Sequence[float],
        steps: Sequence[float],
        law: ScalingLaw | None = None,
        noise: float = 0.0,
        seed: int = 0,
    ) -> list[CurvePoint]:
        rng = np.random.default_rng(seed)
        chosen = law or ScalingLaw.paper()
        points = []
        for size in sizes:
            drawn = rng.normal(size=len(steps) + 1)
            scatter = np.exp(noise * (drawn[1:] + drawn[:-1]) / np.sqrt(2))
            losses = chosen.predict(size, steps) * scatter
            points += [
                CurvePoint(f"{size:g}M", size, step, float(loss))
                for step, loss in zip(steps, losses, strict=True)
            ]
        return points

    return make
