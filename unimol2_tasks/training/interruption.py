"""What other threads work at ends with whoever waits for it.

Signals reach the main thread only, so a thread that follows a training has to be told. Whom it concerns is
a matter of contexts (`contextvars`): Prefect's thread pool gives each task that of its flow, so what other
flows of the same process do goes on, and what has not begun does not begin.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_stops: ContextVar[tuple[threading.Event, ...]] = ContextVar("stops", default=())


@contextmanager
def interruptible_threads() -> Iterator[None]:
    """Have trainings that threads were given inside the block save and end when it is interrupted.

    An interruption is what is no `Exception`: Ctrl-C, SIGTERM, Prefect's cancel, a flow that is suspended.
    After an ordinary error the others come to their own end. The block does not wait for the threads; whoever
    started them does, such as Prefect's task runner.
    """
    stop = threading.Event()
    token = _stops.set((*_stops.get(), stop))
    try:
        yield
    except Exception:
        raise
    except BaseException:
        stop.set()
        raise
    finally:
        _stops.reset(token)


def interrupted() -> bool:
    """Whether one of the blocks was interrupted in which this thread got its work."""
    return any(stop.is_set() for stop in _stops.get())
