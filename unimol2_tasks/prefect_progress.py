"""Progress of stages as Prefect progress artifacts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from unimol2_tasks.progress import Progress, listen
from unimol2_tasks.settings import settings


@contextmanager
def progress_artifacts() -> Iterator[None]:
    """Show every piece of work reported inside the block as a progress artifact of the current run.

    An update is a request to the API: each piece of work has one per `progress_seconds` (a setting) at most.
    """
    pause = settings().progress_seconds
    artifacts: dict[str, UUID] = {}
    updated: dict[str, float] = {}

    def show(progress: Progress) -> None:
        if not progress.total:
            return
        now = time.monotonic()
        finished = progress.done >= progress.total
        if not finished and now - updated.get(progress.work, -pause) < pause:
            return
        updated[progress.work] = now
        percent = 100.0 * progress.done / progress.total
        if progress.work in artifacts:
            update_progress_artifact(artifacts[progress.work], percent, description=progress.detail)
        else:
            # Typed as sync or async by Prefect; in a synchronous task it is the id.
            artifacts[progress.work] = cast(
                UUID, create_progress_artifact(percent, description=progress.detail or progress.work)
            )

    with listen(show):
        yield
