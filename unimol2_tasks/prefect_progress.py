"""Progress of stages as Prefect progress artifacts."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from unimol2_tasks.progress import Progress, listen
from unimol2_tasks.settings import settings

_LOGGER = logging.getLogger(__name__)
_AWAY_SECONDS = 60.0
"""Pause after a failure: Prefect's client itself may have tried for as long, while training waited for it."""


@contextmanager
def progress_artifacts() -> Iterator[None]:
    """Show every piece of work reported inside the block as a progress artifact of the current run.

    An update is a request to the API: each piece of work has one per `progress_seconds` (a setting) at most.
    What cannot be shown is not shown, and the work goes on.
    """
    with listen(_Shown(settings().progress_seconds).show):
        yield


@dataclass(slots=True)
class _Shown:
    """What the server was told so far."""

    pause: float
    artifacts: dict[str, UUID] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)
    """By piece of work the monotonic time before which it is not shown again."""
    away_until: float = 0.0
    warned: bool = False

    def show(self, progress: Progress) -> None:
        """Tell the server how far a piece of work is, if it is time to."""
        if not progress.total or not self._is_time(progress):
            return
        self.again[progress.work] = time.monotonic() + self.pause
        try:
            self._tell(progress)
        except httpx.HTTPError as error:
            # Days of training must not end because nobody can watch them.
            self.away_until = time.monotonic() + _AWAY_SECONDS
            if _is_missing(error):
                self.artifacts.pop(progress.work, None)
            self._warn(error)

    def _is_time(self, progress: Progress) -> bool:
        now = time.monotonic()
        # Nothing comes after the end by which it could be shown.
        finished = progress.done >= progress.total
        return finished or now >= max(self.away_until, self.again.get(progress.work, now))

    def _tell(self, progress: Progress) -> None:
        percent = 100.0 * progress.done / progress.total
        if progress.work in self.artifacts:
            update_progress_artifact(self.artifacts[progress.work], percent, description=progress.detail)
        else:
            # Typed as sync or async by Prefect; in a synchronous task it is the id.
            self.artifacts[progress.work] = cast(
                UUID, create_progress_artifact(percent, description=progress.detail or progress.work)
            )

    def _warn(self, error: Exception) -> None:
        if not self.warned:
            _LOGGER.warning("progress cannot be shown, and the work goes on: %s", error)
        self.warned = True


def _is_missing(error: httpx.HTTPError) -> bool:
    """Whether the server does not know the artifact, which then needs to be made anew."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.NOT_FOUND
