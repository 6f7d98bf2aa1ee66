"""Mermaid diagrams drawn while the site is built, so that a page loads no script for them."""

import hashlib
import re
from functools import cache
from typing import Any

import mermaidx

_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_WIDTH = re.compile(r"max-width: ([\d.]+)px;")
_LEAST_SCALE = 0.6


def diagram(source: str, *_: Any, **__: Any) -> str:
    """A fenced block as SVG; its colours come from the site's style sheet, which knows light and dark."""
    return f'<div class="diagram">{_draw(source)}</div>'


@cache
def _draw(source: str) -> str:
    svg: str = mermaidx.render(source).svg()
    # Several diagrams may stand on one page, and an id may be there only once.
    name = "diagram-" + hashlib.sha256(source.encode()).hexdigest()[:8]
    return _WIDTH.sub(_readable, _STYLE.sub("", svg).replace("my-svg", name), count=1)


def _readable(width: re.Match[str]) -> str:
    """On a narrow screen a wide diagram is scrolled, not shrunk until nobody can read it."""
    return f"{width[0]} min-width: min({float(width[1]) * _LEAST_SCALE:.0f}px, 34rem);"
