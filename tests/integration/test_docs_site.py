"""The documentation site as it is built: no warning, nothing fetched from elsewhere, everything found."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
"""What a browser loads by itself, by tag; a link that a person follows is none of it."""


class Fetched(HTMLParser):
    """The addresses that a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(FETCHED.get(tag, ""))
        if address and not address.startswith("data:"):
            self.addresses.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        reader = Fetched()
        reader.feed(page.read_text(encoding="utf-8"))
        assert reader.addresses, page
        assert [address for address in reader.addresses if "//" in address] == [], page


def test_style_sheets_load_nothing_from_elsewhere(site: Path) -> None:
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert "@import" not in text, sheet
        assert "url(http" not in text.replace('"', ""), sheet


def test_diagrams_are_drawn(site: Path) -> None:
    for page in ("", "design/", "model/", "data/"):
        text = (site / page / "index.html").read_text(encoding="utf-8")
        assert '<div class="diagram"><svg' in text
        # The theme would load a script from elsewhere for this class.
        assert 'class="mermaid"' not in text


def test_light_and_dark_can_be_chosen(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert 'data-md-color-scheme="default"' in text
    assert 'data-md-color-scheme="slate"' in text


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("reference/parameters/#finetune", "layer_decay"),
        ("reference/commands/#unimol2-scaling-plan", "--gpu-hours"),
        ("reference/tables/", "inchikey"),
        ("reference/datasets/#compas-1d", "Dipmom_Debye"),
        ("reference/benchmarks/#biogen-adme", "ADME_HLM_train.csv"),
        ("reference/python/predictor/", "without the command's limit of time"),
        ("reference/python/tasks/", "finetune_predictor"),
        ("reference/python/stages/", "standardised molecules with conformers"),
        ("reference/python/model/", "UniMol2ForPretraining"),
        ("quick-start/", "unimol2 doctor"),
    ],
)
def test_the_search_finds_the_reference(site: Path, page: str, words: str) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    found = [entry for entry in entries if entry["location"].startswith(page)]
    assert any(words in entry["text"] or words in entry["title"] for entry in found)
