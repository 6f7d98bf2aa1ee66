"""Charts as inline SVG that takes its colours from the page, so they follow its light or dark theme."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files

from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# matplotlib refuses CSS variables, so it draws in these stand-ins and the SVG gets the variables.
INK, GRID, ACCENT, TEXT = "#010101", "#020202", "#030303", "#010102"
SERIES = ("#040401", "#040402", "#040403", "#040404", "#040405", "#040406")
_CSS_COLOURS = {
    INK: "var(--muted)",
    GRID: "var(--grid)",
    ACCENT: "var(--accent)",
    TEXT: "var(--ink)",
    **{stand_in: f"var(--series-{index})" for index, stand_in in enumerate(SERIES, start=1)},
}
_STYLE = {
    "svg.hashsalt": "unimol2",  # without a salt every run names its clip paths anew
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a column's name is no formula
    "font.size": 10.0,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
_DRAWING = threading.Lock()
"""matplotlib's settings belong to the process, and tasks of a flow share one in threads."""
TICKS = 4
"""Steps of an axis at most where its numbers may be long, such as −0.24235: more would touch."""
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A line's name and the CSS class of its swatch."""

    label: str
    style: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart; the page writes the `<svg>` element around the body."""

    title: str
    view_box: str
    """The SVG's viewBox, in points."""
    body: Markup
    """The SVG's content."""
    caption: str = ""
    legend: tuple[LegendEntry, ...] = ()


@contextmanager
def axes(width: float = 4.4, height: float = 3.3) -> Iterator[Axes]:
    """Give empty axes in the report's style; sizes in inches."""
    with _DRAWING, style.context(["default", _STYLE]):
        yield Figure(figsize=(width, height), layout="constrained").add_subplot()


def chart(drawn: Axes, title: str, caption: str = "", legend: tuple[LegendEntry, ...] = ()) -> Chart:
    """Turn drawn axes into a chart; to be called inside the `axes` block."""
    buffer = io.StringIO()
    figure = drawn.get_figure(root=True)
    assert figure is not None  # noqa: S101 - `axes` made it
    figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    view_box, body = _inline(buffer.getvalue())
    return Chart(title, view_box, Markup(body), caption, legend)  # noqa: S704 - matplotlib escaped the text


def standalone(drawn: Chart) -> str:
    """The chart as an SVG file of its own, in the colours of the pages' light theme."""
    sheet = (files(__package__) / "templates" / "report.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", sheet.partition("@media")[0]))
    body = re.sub(r"var\((--[\w-]+)\)", lambda match: light[match[1]], drawn.body)
    *_, width, height = drawn.view_box.split()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width}pt" height="{height}pt" viewBox="{drawn.view_box}">\n{body}\n</svg>\n'
    )


def with_unit(text: str, unit: str) -> str:
    """The text of an axis with the unit of its values, where there is one."""
    # Of classes the error is a probability, whatever the unit of the label.
    return f"{text} ({unit})" if unit and "probability" not in text else text


def _inline(document: str) -> tuple[str, str]:
    match = re.search(r"<svg\b[^>]*\bviewBox=\"([^\"]*)\"[^>]*>(.*)</svg>", document, re.DOTALL)
    if match is None:
        raise RuntimeError("matplotlib wrote an SVG without a viewBox")
    view_box, body = match.groups()
    # Its style sheet would apply to the whole page, and its groups' names repeat from chart to chart.
    body = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<g id=\"[^\"]*\"", "<g", body)
    for stand_in, variable in _CSS_COLOURS.items():
        body = body.replace(stand_in, variable)
    return view_box, re.sub(r"\n\s*", "\n", body).strip()
