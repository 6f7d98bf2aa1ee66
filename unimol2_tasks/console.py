"""What a person sees in a terminal: progress bars, results, refusals."""

import logging
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

# Results go to stdout, for programs; everything for people goes to stderr.
console = Console(stderr=True)


@contextmanager
def progress_bars() -> Iterator[None]:
    """Show all progress reported inside the block as bars, one for each piece of work."""
    with Bars(*_columns(), console=console, refresh_per_second=4) as bars:
        known: dict[str, int] = {}

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

        with listen(show):
            yield


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
