"""The learning rate: linear warm-up, then polynomial decay of power 1 to zero (Uni-Mol2, appendix)."""


def learning_rate_factor(step: int, warmup: int, total: int) -> float:
    """Share of the peak learning rate at an optimiser step.

    Args:
        step: Steps already taken.
        warmup: Steps of warm-up.
        total: Steps in all; the rate reaches zero there.
    """
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total - step) / max(1, total - warmup))
