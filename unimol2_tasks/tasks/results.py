"""Results of tasks that a task runner works on at the same time."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from prefect.futures import PrefectFuture

from unimol2_tasks.training.interruption import begin_no_more

R = TypeVar("R")
_TURN_SECONDS = 1.0
"""What Prefect raises in a thread, such as at the loss of a lease, waits until that thread is awake."""


def results_of(futures: Iterable[PrefectFuture[R]]) -> Iterator[R]:
    """The results of submitted or mapped tasks, in the order of these.

    Once a task has failed, what has not begun does not begin, and the failure is raised when what runs has
    come to its end: whoever interrupts the wait, inside `interruptible_threads()`, reaches that too.
    """
    waiting = dict(enumerate(futures))
    ended: SimpleQueue[int] = SimpleQueue()
    for place, future in waiting.items():
        future.add_done_callback(lambda _, place=place: ended.put(place))  # type: ignore[misc]
    results: dict[int, R] = {}
    try:
        for place in range(len(waiting)):
            while place not in results:
                next_one = _await(ended)
                results[next_one] = waiting.pop(next_one).result()
            yield results.pop(place)
    except Exception:
        begin_no_more()
        for _ in waiting:
            _await(ended)
        raise


def _await(ended: "SimpleQueue[int]") -> int:
    while True:
        with suppress(Empty):
            return ended.get(timeout=_TURN_SECONDS)
