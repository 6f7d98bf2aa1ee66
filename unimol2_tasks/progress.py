"""Progress of long work: stages report it, doors (terminal, Prefect) listen to it.

Works as `logging` does: whoever reports does not know who listens, and without a listener nothing
happens. Listeners belong to the context (`contextvars`), so tasks that run side by side in threads do not
hear each other.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of one piece of work."""

    work: str
    """What is being done, for people: `conformers`, `pretrain`."""
    done: int
    """Units finished so far."""
    total: int
    """Units in all; 0 where unknown."""
    detail: str = ""
    """The latest figures, for people: `loss 1.234`."""


Listener = Callable[[Progress], None]
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Call `listener` with every report made inside the `with` block."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def report(work: str, done: int, total: int = 0, detail: str = "") -> None:
    """Tell all listeners how far `work` is."""
    for listener in _listeners.get():
        listener(Progress(work, done, total, detail))
