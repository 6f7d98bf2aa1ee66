"""Many molecules on several processes of one thread each: a time limit for each, results in input order.

RDKit may hang or crash inside C++ code, so the limit is kept by killing the process. Molecules travel in
batches; a batch that fails is run again one by one, so that only the culprit is rejected.
"""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from threading import Thread
from typing import Any, Generic, TypeVar

from pebble import ProcessExpired, ProcessPool
from threadpoolctl import threadpool_limits

from unimol2_tasks.chemistry.rejection import Rejected, RejectionStage
from unimol2_tasks.errors import UserError

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")

_BATCH_SECONDS = 0.25
"""A batch should take about this long: much more than handing it over, much less than a time limit."""
_LARGEST_BATCH = 256
_BATCHES_OF_A_PROCESS = 200
"""Then a fresh one takes its place, in milliseconds: what the old one's heap has grown to goes with it."""
_BATCHES_PER_WORKER = 32
"""Enough work ahead that one slow molecule does not leave the other processes idle at once."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[ItemT, ValueT]):
    """What became of one item: a value or a rejection."""

    item: ItemT
    result: ValueT | Rejected

    @property
    def value(self) -> ValueT:
        """The value.

        Raises:
            Rejected: There is none.
        """
        if isinstance(self.result, Rejected):
            raise self.result
        return self.result


@dataclass(frozen=True, slots=True)
class _Answer(Generic[ValueT]):
    results: list[ValueT | Rejected]
    seconds: float


def map_molecules(
    function: Callable[[ItemT], ValueT],
    items: Iterable[ItemT],
    *,
    workers: int | None,
    timeout: float,
    stage: RejectionStage,
) -> Generator[Outcome[ItemT, ValueT], None, None]:
    """Apply `function` to every item in worker processes.

    Args:
        function: Importable by name (or a `functools.partial` of such); raises `Rejected` for a bad item.
        items: Taken as they are needed; only a few batches are in flight at a time.
        workers: Processes; None: one per core that this process may use.
        timeout: Seconds that one item may take before its process is killed.
        stage: The stage of rejections for time and crashes.

    Yields:
        One outcome per item, in input order, the same whatever the number of workers.

    Raises:
        Exception: Whatever `function` raised that is no `Rejected`: a bug, not a bad molecule.
    """
    workers = workers or len(os.sched_getaffinity(0))
    # Neither fork, which copies the locks of the caller's threads, nor spawn, which imports RDKit anew
    # for every process that replaces a killed one.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["unimol2_tasks.chemistry.preparation"])
    with ProcessPool(
        max_workers=workers, max_tasks=_BATCHES_OF_A_PROCESS, initializer=_start_worker, context=context
    ) as pool:
        try:
            yield from _Mapping(pool, function, timeout, stage).run(
                iter(items), workers * _BATCHES_PER_WORKER
            )
        except BaseException:
            pool.stop()
            raise


class _Mapping(Generic[ItemT, ValueT]):
    """The batches in flight of one `map_molecules`."""

    def __init__(
        self, pool: Any, function: Callable[[ItemT], ValueT], timeout: float, stage: RejectionStage
    ) -> None:
        self._pool = pool
        self._function = function
        self._timeout = timeout
        self._stage = stage
        self._batch_size = 1

    def run(self, items: Iterator[ItemT], window: int) -> Iterator[Outcome[ItemT, ValueT]]:
        in_flight: deque[tuple[list[ItemT], Future[_Answer[ValueT]]]] = deque()
        while True:
            while len(in_flight) < window and (batch := list(islice(items, self._batch_size))):
                in_flight.append((batch, self._schedule(batch)))
            if not in_flight:
                return
            batch, future = in_flight.popleft()
            for item, result in zip(batch, self._collect(batch, future), strict=True):
                yield Outcome(item, result)

    def _schedule(self, batch: list[ItemT]) -> "Future[_Answer[ValueT]]":
        future: Future[_Answer[ValueT]] = self._pool.schedule(
            _run_batch, args=(self._function, batch), timeout=self._timeout
        )
        return future

    def _collect(self, batch: list[ItemT], future: "Future[_Answer[ValueT]]") -> list[ValueT | Rejected]:
        try:
            answer = future.result()
        except BrokenProcessPool:
            raise UserError(
                "the processes that prepare molecules cannot start; in a script of your own, call under "
                '`if __name__ == "__main__":`, because each of them imports the script first'
            ) from None
        except (TimeoutError, ProcessExpired) as failure:
            if len(batch) == 1:
                return [Rejected(self._stage, self._explain(failure))]
            alone = [(item, self._schedule([item])) for item in batch]
            return [self._collect([item], scheduled)[0] for item, scheduled in alone]
        self._adapt(answer.seconds / len(batch))
        return answer.results

    def _adapt(self, seconds_per_item: float) -> None:
        fitting = min(_BATCH_SECONDS, self._timeout / 4) / max(seconds_per_item, 1e-6)
        self._batch_size = int(min(max(fitting, 1), 2 * self._batch_size, _LARGEST_BATCH))

    def _explain(self, failure: Exception) -> str:
        if isinstance(failure, ProcessExpired):
            return f"its process died ({self._stage}, exit code {failure.exitcode})"
        return f"gave up after {self._timeout:g} s ({self._stage})"


def _start_worker() -> None:
    # Pebble's handler for SIGTERM waits for Python to run, which a loop inside C++ never lets it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # There are as many processes as cores already.
    threadpool_limits(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed caller cannot stop a process that is deep in an endless molecule."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_batch(function: Callable[[ItemT], ValueT], batch: list[ItemT]) -> _Answer[ValueT]:
    start = time.monotonic()
    return _Answer([_attempt(function, item) for item in batch], time.monotonic() - start)


def _attempt(function: Callable[[ItemT], ValueT], item: ItemT) -> ValueT | Rejected:
    try:
        return function(item)
    except Rejected as rejection:
        return rejection
