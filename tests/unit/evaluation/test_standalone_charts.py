"""A figure that is a file of its own says what it shows, and cuts nothing off."""

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
from markupsafe import Markup
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox

from unimol2_tasks.evaluation.charts import SERIES, Chart, LegendEntry, axes, chart, standalone

SVG = "{http://www.w3.org/2000/svg}"
NAMES = (
    "0.0413M",
    "0.0814M",
    "a <size> & more",
    "1.31M, held out",
    "measured",
    "predicted from the smaller sizes",
)
LONG = "a name that no line of the figure has room for, however small its letters are; it goes on and on"


def drawn(names: tuple[str, ...], title: str = "Losses, and the law") -> Chart:
    legend = tuple(LegendEntry(name, f"series-{place} dash-0") for place, name in enumerate(names, start=1))
    with axes() as ax:
        for place in range(len(names)):
            ax.plot([1, 2], [place, place + 1], color=SERIES[place])
        return chart(ax, title, "Dots: measured. Lines: the law; dashed where the size had no part.", legend)


def boxes(document: ElementTree.Element) -> dict[str, Bbox]:
    """Where each text around the drawing is, in the file's units, y downwards."""
    found = {}
    for row in document.iterfind(f"{SVG}g/{SVG}g[@transform]"):
        left, baseline = map(float, re.findall(r"[\d.]+", row.get("transform", "")))
        for text in row.iterfind(f"{SVG}text"):
            assert text.text
            extent = TextPath((0, 0), text.text, size=float(text.get("font-size", "nan"))).get_extents()
            start = left + float(text.get("x", "nan"))
            end = start + float(text.get("textLength", extent.x1))
            found[text.text] = Bbox([[start, baseline - extent.y1], [end, baseline - extent.y0]])
    return found


@pytest.mark.parametrize("title", ["Losses, and the law", LONG])
@pytest.mark.parametrize("names", [NAMES[:1], NAMES, (LONG, *NAMES[:3])])
def test_title_names_and_caption_stand_in_the_figure_without_overlap(
    names: tuple[str, ...], title: str
) -> None:
    document = ElementTree.fromstring(standalone(drawn(names, title)))  # noqa: S314 - our own
    _, _, width, height = map(float, document.get("viewBox", "").split())
    found = boxes(document)
    texts = " ".join(found)
    assert set(names) <= found.keys()
    assert all(word in texts for word in title.split())
    assert "dashed where" in texts
    for box in found.values():
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    assert not any(one.overlaps(other) for one, other in combinations(found.values(), 2))


def test_what_stands_around_the_drawing_leaves_it_free() -> None:
    plain = drawn(NAMES)
    document = ElementTree.fromstring(standalone(plain))  # noqa: S314
    body = document.findall(f"{SVG}g")[-1]
    top = float(re.findall(r"[\d.]+", body.get("transform", ""))[1])
    bottom = top + float(plain.view_box.split()[-1])
    assert all(box.y1 <= top or box.y0 >= bottom for box in boxes(document).values())


def test_every_name_has_a_swatch_in_the_colour_of_its_line() -> None:
    document = ElementTree.fromstring(standalone(drawn(NAMES)))  # noqa: S314
    swatches = [path.get("stroke") for path in document.iterfind(f"{SVG}g/{SVG}g/{SVG}path")]
    lines = re.findall(r"stroke: (#[0-9a-f]{6}); stroke-width: 1.5", standalone(drawn(NAMES)))
    assert swatches == lines
    assert len(set(swatches)) == len(NAMES)


def test_dashed_lines_have_dashed_swatches() -> None:
    legend = (LegendEntry("solid", "series-1 dash-0"), LegendEntry("dotted", "series-1 dash-2"))
    document = standalone(Chart("Loss", "0 0 300 200", Markup(""), legend=legend))
    assert document.count("stroke-dasharray") == 1
    assert document.index("solid") < document.index("stroke-dasharray") < document.index("dotted")


def test_the_figure_brings_its_background_so_that_a_dark_page_does_not_hide_it() -> None:
    document = ElementTree.fromstring(standalone(drawn(NAMES)))  # noqa: S314
    ground = document[0]
    assert (ground.tag, ground.get("width"), ground.get("height")) == (f"{SVG}rect", "100%", "100%")
    assert ground.get("fill") == "#ffffff"


def test_a_chart_without_legend_and_caption_is_its_title_and_drawing() -> None:
    document = ElementTree.fromstring(standalone(Chart("Sizes", "0 0 300 200", Markup(""))))  # noqa: S314
    assert list(boxes(document)) == ["Sizes"]
