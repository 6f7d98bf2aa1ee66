"""`unimol2 doctor`: what this machine has."""

import typer

from unimol2_tasks.console import console


def doctor() -> None:
    """Say what this machine has, what is missing, and what to type."""
    from unimol2_tasks.doctor import examine

    healthy = examine(console)
    raise typer.Exit(0 if healthy else 1)
