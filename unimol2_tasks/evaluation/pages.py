"""What every HTML page has in common: one file, one style sheet, every text escaped."""

from __future__ import annotations

import base64

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

_SHARED = "unimol2_tasks.evaluation"


def page_environment(package: str = _SHARED) -> Environment:
    """Where a package's templates are found, and beside them `report.css` and `parts.html.jinja`."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, _SHARED))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def data_uri(svg: str) -> str:
    """An SVG document as the source of an image, in which nothing can run; empty for an empty one."""
    if not svg:
        return ""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")
