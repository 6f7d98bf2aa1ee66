"""Results of tasks in threads: in order, and nobody who still runs is out of reach after a failure."""

import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Timer
from typing import Any
from uuid import uuid4

import pytest
from prefect.futures import PrefectConcurrentFuture

from unimol2_tasks.tasks import results
from unimol2_tasks.tasks.results import results_of
from unimol2_tasks.training.interruption import interrupted, interruptible_threads, may_begin


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_TURN_SECONDS", 0.01)


def submit(pool: ThreadPoolExecutor, work: Callable[[], Any]) -> "PrefectConcurrentFuture[Any]":
    """As Prefect's thread pool does."""
    done: Future[Any] = pool.submit(contextvars.copy_context().run, work)
    return PrefectConcurrentFuture(uuid4(), done)


def fail() -> None:
    raise ValueError("the first has failed")


def await_interruption() -> str:
    while not interrupted():
        time.sleep(0.01)
    return "saved"


@pytest.mark.usefixtures("turns")
def test_results_come_in_the_order_of_the_tasks() -> None:
    last = Event()
    with ThreadPoolExecutor(2) as pool:
        futures = [submit(pool, lambda: last.wait(30)), submit(pool, lambda: "second")]
        futures[1].add_done_callback(lambda _: last.set())
        assert list(results_of(futures)) == [True, "second"]


@pytest.mark.usefixtures("turns")
def test_a_failure_waits_for_what_runs_and_keeps_the_rest_from_beginning() -> None:
    begun, end = Event(), Event()

    def run() -> bool:
        begun.set()
        return end.wait(30)

    with ThreadPoolExecutor(2) as pool, interruptible_threads():
        running = submit(pool, run)
        begun.wait(30)
        failing = submit(pool, fail)
        Timer(0.2, end.set).start()
        with pytest.raises(ValueError, match="the first has failed"):
            list(results_of([failing, running]))
        assert running.result() is True
        assert submit(pool, may_begin).result() is False
        assert submit(pool, interrupted).result() is False


@pytest.mark.usefixtures("turns")
def test_whoever_interrupts_after_a_failure_reaches_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    # The failure is seen; the wait for what still runs is interrupted.
    waits = iter([0])

    def cancelled_wait(_: object) -> int:
        for place in waits:
            return place
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "_await", cancelled_wait)
    with ThreadPoolExecutor(2) as pool, suppress(KeyboardInterrupt), interruptible_threads():
        running = submit(pool, await_interruption)
        list(results_of([submit(pool, fail), running]))
    assert running.result() == "saved"


def test_outside_of_a_block_a_failure_concerns_nobody_else() -> None:
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError, match="the first has failed"):
            list(results_of([submit(pool, fail)]))
        assert submit(pool, may_begin).result() is True
