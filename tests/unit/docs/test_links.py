"""Links on GitHub and on the site."""

import pytest

from docs.site.links import site_links

PAGES = {"README.md": "index.md", "docs/data.md": "data.md", "docs/results/run.md": "results/run.md",
         "unimol2_tasks/params": "reference/parameters.md"}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "page", "text", "expected"),
    [
        ("README.md", "index.md", "[data](docs/data.md#splits)", "[data](data.md#splits)"),
        ("docs/results/run.md", "results/run.md", "[data](../data.md)", "[data](../data.md)"),
        ("docs/data.md", "data.md", "[start](../README.md)", "[start](index.md)"),
        ("docs/data.md", "data.md", "[params](../unimol2_tasks/params)", "[params](reference/parameters.md)"),
        ("docs/data.md", "data.md", "[x.py](../unimol2_tasks/x.py)", "`unimol2_tasks/x.py`"),
        ("docs/data.md", "data.md", "[`Block`](../model/block.py)", "`Block` (`model/block.py`)"),
        ("docs/data.md", "data.md", "[recipes/](../recipes/)", "`recipes/`"),
        (
            "docs/data.md",
            "data.md",
            "[paper](https://arxiv.org/abs/1) [up](#top)",
            "[paper](https://arxiv.org/abs/1) [up](#top)",
        ),
    ],
)
def test_a_link_leads_to_the_page_or_becomes_its_path(
    source: str, page: str, text: str, expected: str
) -> None:
    assert site_links(text, source, page, PAGES) == expected


def test_code_is_left_as_it_is() -> None:
    text = "```python\na = b[x](../y.py)\n```\n"
    assert site_links(text, "docs/data.md", "data.md", PAGES) == text
