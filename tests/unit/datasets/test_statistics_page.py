import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from unimol2_tasks.datasets.statistics_page import render_statistics

HOSTILE = "<script>alert('x')</script>&\"$\\frac{"
NO_LABEL = dict.fromkeys(("mean", "std", "min", "max", "median", "quartiles", "histogram"))
NEAREST = {
    "molecules": 200, "compared": 100, "train_molecules": 1600, "train_compared": 1600, "sampled": True,
    "nearest_train_similarity": {
        "mean": 0.4, "median": 0.41, "share_at_least": {"0.5": 0.25, "1.0": 0.0},
        "histogram": {"edges": [0.0, 0.5, 1.0], "counts": [75, 25]},
    },
    "scaffolds": 90, "scaffolds_shared_with_train": 3, "molecules_with_shared_scaffold": 11,
}  # fmt: skip
SHARED = {"skeletons_across_splits": 2, "first": []}


def summary(**changes: Any) -> dict[str, Any]:
    label = {
        "known": 1500, "mean": -2.5, "std": 1.5, "min": -9.0, "max": 3.0, "median": -2.25,
        "quartiles": [-3.5, -1.25], "histogram": {"edges": [-9.0, -3.0, 3.0], "counts": [600, 900]},
    }  # fmt: skip
    return {
        "table": "drugs.csv",
        "sources": ["drugs-1.csv", "drugs-2.csv"],
        "rows": {"in": 2500, "out": 2000, "rejects": 500},
        "molecules": 2000,
        "splits": {"train": 1600, "valid": 200, "test": 200},
        "folds": {"0": 1000, "1": 1000},
        "scaffolds": 900,
        "singleton_scaffolds": 700,
        "acyclic": 100,
        "top_scaffolds": [{"scaffold": "c1ccccc1", "molecules": 300}, {"scaffold": "C1CC1", "molecules": 7}],
        "heavy_atoms": {"6": 1000, "25": 1000},
        "elements": {"C": 20000, "Cl": 60},
        "element_molecules": {"C": 2000, "Cl": 50},
        "conformers": {"1": 100, "10": 1900},
        "methods": {"etkdg": 100, "etkdg+mmff94s": 1900},
        "energies": {"etkdg+mmff94s": {"conformers": 19000, "min": -50.5, "max": 210.0}},
        "labels": {"logS": label, "empty": {"known": 0, **NO_LABEL}},
        "standardisation": {"cleaned": 40},
        "duplicates": 450,
        "conflicting_duplicates": 3,
        "rejects": {"deduplicate": 450, "parse": 50},
        "reject_reasons": [{"stage": "deduplicate", "reason": "duplicate of row N", "rows": 450}],
        "leakage": {"similarity": "Tanimoto", "test": NEAREST, "valid": None, "stereoisomers": SHARED},
        **changes,
    }  # fmt: skip


class Tags(HTMLParser):
    """Every start tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page() -> str:
    return render_statistics(summary())


def test_the_law_of_rows_is_the_first_thing_said(page: str) -> None:
    assert "2,500 rows in = 2,000 molecules + 500 rejects." in page


@pytest.mark.parametrize(
    "text",
    [
        "Sizes", "From 6 to 25 heavy atoms; on average 15.5.", "Elements", "−50.5 to 210",
        "19,100 conformers, 9.55 a molecule.", "700 (77.8%)", "100 (5.0%)", "Most frequent scaffolds",
        "c1ccccc1", "1,500 of 2,000", "Half of the values lie between −3.50 and −1.25.", "0 of 2,000",
        "fold 1", "100 of 200", "0.410", "Nearest training molecule: test", "3 of 90", "25.0%",
        "Samples were compared", "cleaned up", "duplicate of row N", "450 of them duplicates", "drugs-2.csv",
    ],
)  # fmt: skip
def test_every_part_is_on_the_page(page: str, text: str) -> None:
    assert text in page


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    for tag, attributes in Tags(page).seen:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href"}:
                assert value is not None
                assert value.startswith(("data:image/svg+xml;base64,", "#"))
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_every_text_is_escaped() -> None:
    original = summary()
    page = render_statistics(
        summary(
            table=HOSTILE,
            sources=[HOSTILE],
            labels={HOSTILE: original["labels"]["logS"]},
            standardisation={HOSTILE: 1},
            reject_reasons=[{"stage": HOSTILE, "reason": HOSTILE, "rows": 1}],
            leakage=original["leakage"] | {"similarity": HOSTILE},
            methods={HOSTILE: 1},
        )
    )
    assert "&lt;script&gt;" in page
    assert not any(tag == "script" for tag, _ in Tags(page).seen)


def test_a_dataset_with_little_in_it() -> None:
    page = render_statistics(
        summary(
            labels={}, folds={}, leakage={}, standardisation={}, reject_reasons=[], rejects={},
            top_scaffolds=[], scaffolds=0, singleton_scaffolds=0, heavy_atoms={"1": 1}, conformers={"1": 1},
            element_molecules={"C": 1}, molecules=1, rows={"in": 1, "out": 1, "rejects": 0},
        )
    )  # fmt: skip
    assert "No row was rejected." in page
    assert "No molecule was changed." in page
    assert 'id="labels"' not in page
    assert "Nearest training molecule" not in page
    assert "nan" not in page.lower()


def test_a_scaffold_that_cannot_be_drawn_is_said() -> None:
    page = render_statistics(summary(top_scaffolds=[{"scaffold": "c1cccc1", "molecules": 3}]))
    assert "no drawing" in page


def test_a_thousand_files_are_not_listed() -> None:
    page = render_statistics(summary(sources=[f"part-{number}.csv" for number in range(1000)]))
    assert "part-9.csv" in page
    assert "part-10.csv" not in page
    assert "990" in page


def test_the_same_summary_gives_the_same_bytes_in_another_process(page: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    code += "from test_statistics_page import render_statistics, summary\n"
    code += "sys.stdout.buffer.write(render_statistics(summary()).encode())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert other.decode() == page
