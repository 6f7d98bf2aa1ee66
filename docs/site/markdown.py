"""Markdown that is made of values: tables and code that no value can break."""

from collections.abc import Iterable, Sequence

_SPECIAL = str.maketrans({character: f"\\{character}" for character in "*_<>|"})


def code(text: str) -> str:
    """The text in a code span, also inside a table."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def prose(text: str) -> str:
    """The text as it reads, with its code spans as they are and nothing else taken for Markdown."""
    parts = text.replace("\n", " ").split("`")
    return "".join(
        part.translate(_SPECIAL) if number % 2 == 0 else code(part) for number, part in enumerate(parts)
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns in which no row has anything are left out."""
    cells = [list(row) for row in rows]
    kept = [place for place in range(len(header)) if any(row[place] for row in cells)]
    lines = [[header[place] for place in kept], ["---"] * len(kept)]
    lines += [[row[place] for place in kept] for row in cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
