import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from unimol2_tasks.evaluation.metrics import classification_metrics, regression_metrics
from unimol2_tasks.evaluation.report import (
    Curve,
    LineageStep,
    Report,
    ScoreRow,
    TargetResult,
    WorstPrediction,
    render_report,
)

HOSTILE = "<script>alert('x')</script>&\"$\\frac{"
DRAWING = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def regression(rows: int = 40, name: str = "solubility") -> TargetResult:
    rng = np.random.default_rng(0)
    true = rng.normal(size=rows)
    true[0] = np.nan
    pred = rng.normal(0, 0.3, rows) + np.nan_to_num(true)
    scores = [
        ScoreRow("model", regression_metrics(true, pred)),
        ScoreRow("mean", {"mae": 0.8}, role="baseline"),
    ]
    return TargetResult(name, "log mol/L", "regression", true, pred, scores)


def binary(labels: str = "both") -> TargetResult:
    rng = np.random.default_rng(1)
    probability = rng.random(50)
    true = (rng.random(50) < probability).astype(float) if labels == "both" else np.ones(50)
    scores = [ScoreRow("model", classification_metrics(true, probability))]
    return TargetResult("toxic", "", "binary", true, probability, scores)


@pytest.fixture(scope="module")
def report() -> Report:
    steps = np.arange(1, 50)
    return Report(
        title="Solubility",
        summary="Tested on unseen scaffolds.",
        targets=[regression(), binary()],
        curves=[
            Curve(
                "Pretraining",
                "step",
                "loss",
                {"training": (steps, 5.0 / steps), "valid": (steps, 6.0 / steps)},
            )
        ],
        worst=[
            WorstPrediction("CCO", DRAWING, "solubility", 1.0, -2.0),
            WorstPrediction("C", "", "toxic", 1.0, 0.02),
        ],
        data_card={"Licence": "MIT"},
        parameters={"seed": 7, "finetune": {"lr": 1e-4, "optimizer": {"betas": [0.9, 0.99]}, "ema": None}},
        lineage=[LineageStep("dataset", "s3://lab/dataset", "sha256:abc")],
    )


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render_report(report)


class Tags(HTMLParser):
    """Every start tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_every_part_is_on_the_page(page: str) -> None:
    for text in (
        "Solubility",
        "Tested on unseen scaffolds.",
        "39 labelled molecules, 1 without a label left out",
    ):
        assert text in page
    for text in (
        "Predicted against measured",
        "Residuals",
        "Errors",
        "ROC curve",
        "Precision and recall",
        "Reliability",
        "Pretraining",
        "CCO",
        "MIT",
    ):
        assert text in page
    for text in (
        "optimizer.betas",
        "[0.9, 0.99]",
        "null",
        "s3://lab/dataset",
        "sha256:abc",
        "% lower than mean",
    ):
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
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_every_text_is_escaped() -> None:
    page = render_report(
        Report(
            title=HOSTILE,
            summary=HOSTILE,
            targets=[
                replace(
                    regression(name=HOSTILE),
                    unit=HOSTILE,
                    rows=[ScoreRow(HOSTILE, {HOSTILE: 1.0, "mae": 2.0})],
                )
            ],
            curves=[Curve(HOSTILE, HOSTILE, HOSTILE, {HOSTILE: ([0, 1], [1, 2]), "b": ([0, 1], [1, 2])})],
            worst=[WorstPrediction(HOSTILE, DRAWING, HOSTILE, 0.0, 1.0)],
            data_card={HOSTILE: HOSTILE},
            parameters={HOSTILE: HOSTILE, "section": {HOSTILE: [HOSTILE]}},
            lineage=[LineageStep(HOSTILE, HOSTILE, HOSTILE)],
        )
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not any(tag == "script" for tag, _ in Tags(page).seen)


def test_charts_follow_the_theme_of_the_page(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert page.count('<svg viewBox="') == 7
    charts = re.findall(r'<svg viewBox="(.*?)</svg>', page, re.DOTALL)
    for svg in charts:
        assert "var(--accent)" in svg or "var(--series-1)" in svg
        assert not re.search(r"(fill|stroke): #(?!none)", svg)


def test_the_same_report_gives_the_same_bytes_in_another_process(report: Report) -> None:
    program = (
        "from unimol2_tasks.evaluation.report import *; import hashlib, numpy as np\n"
        "x = np.linspace(0, 1, 30)\n"
        "page = render_report(Report('t', 's', [TargetResult('y', 'eV', 'regression', x, x**2, [])],"
        " [Curve('c', 'x', 'y', {'a': (x, x)})]))\n"
        "print(hashlib.sha256(page.encode()).hexdigest())"
    )
    digests = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(digests) == 1
    assert render_report(report) == render_report(report)


def test_a_large_test_set_stays_a_small_page() -> None:
    assert len(render_report(Report("QM9", "", [regression(13_000)]))) < 1_000_000


def test_a_thousand_classes_stay_a_small_chart_of_those_that_are_mistaken() -> None:
    classes, rows = 1000, 2000
    true = np.arange(rows) % classes
    probabilities = np.zeros((rows, classes))
    probabilities[np.arange(rows), true] = 1.0
    for one, other in ((3, 700), (700, 3), (41, 42)):
        probabilities[true == one] = np.eye(classes)[other]
    target = TargetResult("phase", "", "multiclass", true, probabilities, [])
    page = render_report(Report("Classes", "", [target]))
    assert len(page) < 400_000
    assert "The 20 of 1,000 classes that were mistaken most; other classes are not shown." in page
    for name in (3, 41, 42, 700):
        assert page.count(f">{name}</text>") == 2


def test_a_few_classes_are_all_shown() -> None:
    probabilities = np.eye(4)[[0, 1, 2, 3, 3]]
    page = render_report(
        Report("Classes", "", [TargetResult("phase", "", "multiclass", [0, 1, 2, 3, 2], probabilities, [])])
    )
    assert "Confusion" in page
    assert "mistaken most" not in page


def test_degenerate_targets_still_make_a_page() -> None:
    unlabelled = TargetResult(
        "none", "", "regression", [np.nan, np.nan], [1.0, 2.0], [ScoreRow("model", {"n": 0.0})]
    )
    constant = TargetResult("constant", "", "regression", [1.0, 1.0], [1.0, 1.0], [])
    page = render_report(Report("Edge cases", "", [unlabelled, constant, binary("one class")]))
    assert "ROC curve" not in page
    assert "Reliability" in page
    assert "0 labelled molecules, 2 without" in page


def test_an_empty_report_has_no_empty_sections() -> None:
    page = render_report(Report("Nothing yet", "The run has not finished."))
    assert "<h2>" not in page


def test_a_curve_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="curve 'loss', line 'training'"):
        render_report(Report("t", "s", curves=[Curve("loss", "x", "y", {"training": ([1, 2], [1])})]))


def test_a_loss_that_falls_far_has_readable_numbers_on_its_axis() -> None:
    steps = np.arange(1.0, 50.0)
    curve = Curve("training", "step", "loss", {"loss": (steps, 1.0 / steps**2)})
    page = render_report(Report(title="t", summary="s", curves=[curve]))
    assert "mathdefault" not in page
    assert re.search(r">0\.01<", page)
