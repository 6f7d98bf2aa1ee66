"""What other threads work at ends with whoever waits for it.

Signals reach the main thread only, so a thread that follows a training has to be told. Whom it concerns is
a matter of contexts (`contextvars`): Prefect's thread pool gives each task that of its flow, so what other
flows of the same process do goes on, and what has not begun does not begin.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class _Block:
    stopped: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)


_blocks: ContextVar[tuple[_Block, ...]] = ContextVar("blocks", default=())


@contextmanager
def interruptible_threads() -> Iterator[None]:
    """Have trainings that threads were given inside the block save and end when it is interrupted.

    An interruption is what is no `Exception`: Ctrl-C, SIGTERM, Prefect's cancel, a flow that is suspended.
    After an ordinary error the others come to their own end. The block does not wait for the threads; whoever
    started them does: `tasks.results_of`, or when the block is left Prefect's task runner.
    """
    block = _Block()
    token = _blocks.set((*_blocks.get(), block))
    try:
        yield
    except Exception:
        raise
    except BaseException:
        block.stopped.set()
        raise
    finally:
        _blocks.reset(token)


def begin_no_more() -> None:
    """Have nothing begin that threads were given inside the innermost block; what has begun goes on."""
    for block in _blocks.get()[-1:]:
        block.closed.set()


def interrupted() -> bool:
    """Whether one of the blocks was interrupted in which this thread got its work."""
    return any(block.stopped.is_set() for block in _blocks.get())


def may_begin() -> bool:
    """Whether this thread's work is still wanted."""
    return not any(block.stopped.is_set() or block.closed.is_set() for block in _blocks.get())
