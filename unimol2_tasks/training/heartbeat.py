"""Signs of life while a network is measured, which may take longer than any step."""

import time
from collections.abc import Callable

import torch.distributed as dist

from unimol2_tasks.training.job import RunFolder, read_json, write_json

HEARTBEAT_SECONDS = 0.5
"""The least time between two signs of life."""

_NO_STEP_YET = {"step": -1, "steps": 0}
"""A resumed run may owe a validation before its first step; its start is given more time than a step."""


def measuring(run: RunFolder, total: int) -> Callable[[int], None]:
    """Tells the supervisor how much has been measured, from the first rank and now and then.

    Args:
        run: Where the supervisor looks.
        total: What there is to measure, over all ranks.

    Returns:
        Takes how much of its share this rank has done.
    """
    if dist.is_initialized() and dist.get_rank() > 0:
        return lambda done: None
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        if time.monotonic() - last < HEARTBEAT_SECONDS:
            return
        last = time.monotonic()
        beat = read_json(run.heartbeat) or _NO_STEP_YET
        write_json(run.heartbeat, beat | {"detail": f"measuring {min(done * ranks, total)} of {total}"})

    return tell
