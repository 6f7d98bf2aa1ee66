"""What a person sees in a terminal: progress bars, results, refusals."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from unimol2_tasks.progress import Progress, listen

_LOGGER = logging.getLogger(__name__)
_LINE_SECONDS = 60.0
# Results go to stdout, for programs; everything for people goes to stderr.
console = Console(stderr=True)


@contextmanager
def progress_bars() -> Iterator[None]:
    """Show all progress reported inside the block as bars, one for each piece of work.

    Where stderr is a file or a log, bars appear at the end alone; meanwhile there is a line a minute.
    """
    with Bars(*_columns(), console=console, refresh_per_second=4) as bars:
        known: dict[str, int] = {}
        said: dict[str, float] = {}

        def show(progress: Progress) -> None:
            fresh = known.get(progress.work)
            if fresh is None or bars.tasks[fresh].completed > progress.done:
                known[progress.work] = bars.add_task(progress.work, total=progress.total or None, detail="")
            bars.update(
                known[progress.work],  # type: ignore[arg-type]
                completed=progress.done,
                total=progress.total or None,
                detail=progress.detail,
            )
            now = time.monotonic()
            if not console.is_terminal and now - said.setdefault(progress.work, now) >= _LINE_SECONDS:
                said[progress.work] = now
                _LOGGER.info(_line(progress))

        with listen(show):
            yield


def _line(progress: Progress) -> str:
    of = f" of {progress.total:,}" if progress.total else ""
    return f"{progress.work}: {progress.done:,}{of}" + (f", {progress.detail}" if progress.detail else "")


def log_to_console() -> None:
    """Show warnings of all libraries, and what our own code says for people."""
    handler = RichHandler(console=console, show_time=False, show_path=False, markup=False)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s")
    logging.getLogger("unimol2_tasks").setLevel(logging.INFO)


def _columns() -> list[ProgressColumn]:
    return [
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
    ]
