"""Asking a scheduler now and then, and bearing with its silence."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from unimol2_tasks.training.launchers.launcher import Phase

_log = logging.getLogger(__name__)
_WARN_SECONDS = 600.0


class NoAnswer(Exception):  # noqa: N818 - nothing is known, not even that something went wrong
    """The scheduler did not answer, or does not know the job yet."""


@dataclass(slots=True)
class Poll:
    """The phase of a launch, as last heard; what could not be asked is asked again.

    Attributes:
        ask: Asks the scheduler; raises `NoAnswer`.
        seconds: Between two questions.
        phase: The last answer.
    """

    ask: Callable[[], Phase]
    seconds: float
    phase: Phase = "waiting"
    _next: float = 0.0
    _warned: float = -_WARN_SECONDS

    def __call__(self) -> Phase:
        """The phase, asked anew when it is time to."""
        now = time.monotonic()
        if self.phase != "ended" and now >= self._next:
            self._ask(now)
            self._next = now + self.seconds
        return self.phase

    def hurry(self) -> None:
        """Ask every second from now on: an end is awaited."""
        self.seconds, self._next = min(self.seconds, 1.0), 0.0

    def wait_for_end(self, seconds: float) -> bool:
        """Whether the launch ended within so many seconds."""
        self.hurry()
        deadline = time.monotonic() + seconds
        while self() != "ended" and time.monotonic() < deadline:
            time.sleep(min(0.1, self.seconds))
        return self.phase == "ended"

    def _ask(self, now: float) -> None:
        try:
            self.phase = self.ask()
        except NoAnswer as problem:
            if now - self._warned >= _WARN_SECONDS:
                self._warned = now
                _log.warning("%s; asked again every %g s", problem, self.seconds)
