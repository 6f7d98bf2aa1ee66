"""Charts as inline SVG that takes its colours from the page, so they follow its light or dark theme."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files

from markupsafe import Markup, escape
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

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
_TITLE_SIZE, _SMALL_SIZE = 11.0, 9.0
"""Of the texts around a figure that is a file of its own, in points; so are its other measures."""
_MARGIN, _SWATCH, _ENTRY_GAP = 6.0, 22.0, 14.0
_DASHES = {
    name: f' stroke-dasharray="{dash}"'
    for name, dash in (("dash-1", "5 3"), ("dash-2", "2"), ("dash-3", "5 3"))
}
"""As the pages' style sheet draws the swatches."""
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
    """The chart as an SVG file of its own: title, legend, drawing and caption in the pages' light theme.

    It brings its background along, so that it can be read on a dark page too.
    """
    *_, width, height = (float(number) for number in drawn.view_box.split())
    room = width - 2 * _MARGIN
    head = [*_lines(drawn.title, _TITLE_SIZE, room, "--ink"), *_legend_rows(drawn.legend, room)]
    top, texts = _stacked(head, 0.0)
    bottom, notes = _stacked(_lines(drawn.caption, _SMALL_SIZE, room, "--muted"), top + height)
    total = bottom + _MARGIN
    sheet = (files(__package__) / "templates" / "report.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", sheet.partition("@media")[0]))
    document = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width:g}pt" height="{total:g}pt" viewBox="0 0 {width:g} {total:g}" role="img" '
        f'aria-label="{escape(drawn.title)}">\n<rect width="100%" height="100%" fill="var(--card)"/>\n'
        f'<g font-family="DejaVu Sans, Verdana, sans-serif">\n{texts}{notes}</g>\n'
        f'<g transform="translate(0 {top:g})">\n{drawn.body}\n</g>\n</svg>\n'
    )
    return re.sub(r"var\((--[\w-]+)\)", lambda match: light[match[1]], document)


def with_unit(text: str, unit: str) -> str:
    """The text of an axis with the unit of its values, where there is one."""
    # Of classes the error is a probability, whatever the unit of the label.
    return f"{text} ({unit})" if unit and "probability" not in text else text


@dataclass(frozen=True, slots=True)
class _Row:
    """What stands on one line of a figure: its height in points, and its SVG from the baseline on."""

    height: float
    body: str


def _stacked(rows: Sequence[_Row], top: float) -> tuple[float, str]:
    """Rows one below the other; where they end, and their SVG."""
    placed = []
    for row in rows:
        top += row.height
        placed.append(f'<g transform="translate({_MARGIN:g} {top:g})">{row.body}</g>\n')
    # Letters such as g reach below the baseline.
    return top + (_SMALL_SIZE / 2 if rows else 0.0), "".join(placed)


def _lines(text: str, size: float, room: float, colour: str) -> list[_Row]:
    words = text.split()
    packed = _packed([_width(word, size) for word in words], _width("\u00a0", size), room)
    return [
        _Row(1.4 * size, _text(" ".join(words[at] for at in row), size, 0.0, room, colour)) for row in packed
    ]


def _legend_rows(entries: Sequence[LegendEntry], room: float) -> list[_Row]:
    labels = room - _SWATCH
    widths = [min(_width(entry.label, _SMALL_SIZE), labels) + _SWATCH for entry in entries]
    rows = []
    for row in _packed(widths, _ENTRY_GAP, room):
        left, body = 0.0, ""
        for at in row:
            colour, dash = f"{entries[at].style} ".split(" ", 1)
            body += (
                f'<path d="M{left:g} -3h{_SWATCH - 5:g}" stroke="var(--{colour})" stroke-width="2.5"'
                f"{_DASHES.get(dash.strip(), '')}/>"
            )
            body += _text(entries[at].label, _SMALL_SIZE, left + _SWATCH, labels, "--ink")
            left += widths[at] + _ENTRY_GAP
        rows.append(_Row(1.5 * _SMALL_SIZE, body))
    return rows


def _packed(widths: Sequence[float], gap: float, room: float) -> list[list[int]]:
    """Places of things of these widths, line by line, as many to a line as fit."""
    lines: list[list[int]] = []
    left = 0.0
    for place, width in enumerate(widths):
        if not lines or left + width > room:
            lines.append([])
            left = 0.0
        lines[-1].append(place)
        left += width + gap
    return lines


def _text(text: str, size: float, left: float, room: float, colour: str) -> str:
    squeezed = _width(text, size) > room
    fitted = f' textLength="{room:g}" lengthAdjust="spacingAndGlyphs"' if squeezed else ""
    return f'<text x="{left:g}" font-size="{size:g}" fill="var({colour})"{fitted}>{escape(text)}</text>'


def _width(text: str, size: float) -> float:
    """Of a text in points, in matplotlib's own font, which is wider than most."""
    font = FontProperties(family="DejaVu Sans", size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


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
