"""Every command of `unimol2` with its options, as the command line itself describes them."""

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import typer

from docs.site.markdown import code, prose, table
from unimol2_tasks.cli import app


def command_line() -> Any:
    """What `unimol2` is when somebody types it: its commands and those of the flows."""
    whole = typer.Typer(help=app.info.help, epilog=app.info.epilog)
    whole.registered_commands = [*app.registered_commands]
    whole.registered_groups = [*app.registered_groups]
    for entry in entry_points(group="unimol2_tasks.commands"):
        whole.command(entry.name)(entry.load())
    return typer.main.get_command(whole)


def commands_page() -> str:
    """The page about the command line: a chapter for each command."""
    root = command_line()
    chapters = (_chapter(words, command) for words, command in _leaves("unimol2", root))
    return f"# Commands\n\n{_prose(root.help or '')} {_prose(root.epilog or '')}\n" + "".join(chapters)


def _leaves(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, found in inner.items():
        yield from _leaves(f"{words} {name}", found)


def _chapter(words: str, command: Any) -> str:
    context = command.context_class(command, info_name=words)
    rows = [
        _row(*record) for option in command.get_params(context) if (record := option.get_help_record(context))
    ]
    paragraphs = (_prose(paragraph) for paragraph in (command.help or "").split("\n\n"))
    usage = command.get_usage(context).removeprefix("Usage: ")
    return (
        f"\n## {words} {{#{words.replace(' ', '-')}}}\n\n"
        + "\n\n".join(paragraphs)
        + f"\n\n```text\n{usage}\n```\n\n"
        + table(("option", "meaning", "default, range"), rows)
    )


def _row(names: str, text: str) -> tuple[str, str, str]:
    """The last brackets of a help text hold what is required, the default and the range."""
    found = re.fullmatch(r"(.*?)(?:  \[([^\[\]]*)\])?", text, re.DOTALL)
    meaning, facts = found.groups() if found else (text, None)
    return code(names), _prose(meaning), prose((facts or "").replace("default: ", ""))


def _prose(text: str) -> str:
    """Prose in which options stand as code."""
    return prose(re.sub(r"(?<![`\w-])(--[a-z][a-z-]*)(?!`)", r"`\1`", text))
