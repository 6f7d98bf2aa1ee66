"""Outcomes that all ranks share: one rank works, or one rank fails, and every rank learns of it.

An error that only one rank raises leaves the others in their next collective operation, waiting for it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

Outcome = TypeVar("Outcome")


def on_first_rank(work: Callable[[], Outcome]) -> Outcome:
    """What `work` returns or raises on the first rank, on every rank; all must call it.

    Returns only after the first rank has finished, so what it did there is done for all.
    """
    outcome: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            outcome[0] = work()
        except Exception as error:  # noqa: BLE001 - it is raised below, on every rank
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    result: Outcome = outcome[0]
    return result


def problems_of_all_ranks(problem: str | None) -> list[str]:
    """What went wrong, in the order of the ranks and with their numbers; all must call it."""
    problems: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(problems, problem)
    return [f"rank {rank}: {text}" for rank, text in enumerate(problems) if text is not None]
