"""The fenced blocks of all pages: where each is, what it holds, and why it is not run where that is said."""

import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]

_BLOCK = re.compile(
    r"(?:^[ ]*<!-- not run: (?P<reason>[^>]+?) -->\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: str
    """Its file in the repository."""
    line: int
    """Of its first line, from 1."""
    language: str
    text: str
    reason: str
    """Why it is not run, as the comment before it says; empty without one."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """All pages: those of the root, of `docs/` and of the benchmarks."""
    folders = (ROOT, ROOT / "docs", ROOT / "docs" / "results", ROOT / "benchmarks")
    return [path for folder in folders for path in sorted(folder.glob("*.md"))]


@cache
def all_blocks() -> tuple[Block, ...]:
    """The blocks of all pages, in their order there."""
    return tuple(block for page in pages() for block in blocks_of(page))


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page; indented ones, of lists, too."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name
    return [
        Block(
            name,
            text[: match.start("text")].count("\n") + 1,
            match["language"],
            textwrap.dedent(match["text"]),
            (match["reason"] or "").strip(),
        )
        for match in _BLOCK.finditer(text)
    ]


def blocks_in(*languages: str) -> list[Block]:
    """The blocks of these languages that are not marked."""
    return [block for block in all_blocks() if block.language in languages and not block.reason]
