"""The report as a person sees it: in a browser, on a desk and on a phone, by day and by night."""

import html
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unimol2_tasks.chemistry.drawing import draw_svg
from unimol2_tasks.evaluation.bootstrap import bootstrap_intervals
from unimol2_tasks.evaluation.contents import (
    Curve,
    LineageStep,
    MemberScores,
    Neighbour,
    Report,
    ScoreRow,
    TargetResult,
    WorstPrediction,
)
from unimol2_tasks.evaluation.groups import (
    by_novelty,
    by_scaffold_cluster,
    by_similarity,
    by_size,
    group_table,
)
from unimol2_tasks.evaluation.labels import TargetKind
from unimol2_tasks.evaluation.metrics import METRICS
from unimol2_tasks.evaluation.report import render_report
from unimol2_tasks.evaluation.uncertainty import LEVELS, conformal_halfwidth, measured_coverage

SMILES = (Path(__file__).parents[1] / "molecules.smi").read_text(encoding="utf-8").split()
N = 240
DESKTOP, PHONE = 1280, 390
LIGHT, DARK = "light", "dark"
LARGE_TEXT = 18.66
"""px from which bold text counts as large, and needs less contrast (WCAG 2.2, success criterion 1.4.3)."""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip

MEASURE = (Path(__file__).parent / "report_in_browser.js").read_text(encoding="utf-8")

Look = dict[str, Any]


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on this machine to look at the report with")
    return found


@pytest.fixture(scope="module")
def look(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], Look]:
    """What a browser measures on the report, once for every width and theme."""
    page = render_report(rich_report())
    seen: dict[tuple[int, str], Look] = {}

    def measure(width: int, theme: str) -> Look:
        if (width, theme) not in seen:
            folder = tmp_path_factory.mktemp("browser")
            seen[width, theme] = measured(chromium, page, width, theme, folder)
        return seen[width, theme]

    return measure


def measured(chromium: str, page: str, width: int, theme: str, folder: Path) -> Look:
    """Show a page in a frame of some width, and what the script finds there."""
    (folder / "wrapper.html").write_text(wrapper(page, width, MEASURE), encoding="utf-8")
    arguments = [*FLAGS, *(["--force-dark-mode"] if theme == DARK else [])]
    done = subprocess.run(
        [
            chromium, *arguments, f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000",
            "--window-size=1400,1000", "--dump-dom", (folder / "wrapper.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    before, found, after = done.stdout.partition('<pre id="found">')
    assert found, f"{before[-500:]}\n{done.stderr[-2000:]}"
    look: Look = json.loads(html.unescape(after.partition("</pre>")[0]))
    return look


def wrapper(page: str, width: int, script: str = "") -> str:
    """A page that shows another one in a frame: windows cannot be as narrow as a phone."""
    return (
        '<!DOCTYPE html><meta charset="utf-8"><style>:root { color-scheme: light dark } body { margin: 0 } '
        f"iframe {{ border: 0; width: {width}px; height: 20000px }}</style>"
        f'<iframe srcdoc="{html.escape(page)}"></iframe><pre id="found"></pre><script>{script}</script>'
    )


EVERYWHERE = pytest.mark.parametrize(
    ("width", "theme"), [(DESKTOP, LIGHT), (DESKTOP, DARK), (PHONE, LIGHT), (PHONE, DARK)]
)


@EVERYWHERE
def test_the_page_is_shown_at_the_width_and_in_the_theme(
    look: Callable[[int, str], Look], width: int, theme: str
) -> None:
    found = look(width, theme)
    assert (found["width"], found["dark"]) == (width, theme == DARK)
    assert found["height"] > 3000


@EVERYWHERE
def test_nothing_sticks_out_sideways(look: Callable[[int, str], Look], width: int, theme: str) -> None:
    found = look(width, theme)
    assert found["scroll_width"] <= width
    assert found["outside"] == []


@EVERYWHERE
def test_every_picture_is_there_and_none_is_fetched(
    look: Callable[[int, str], Look], width: int, theme: str
) -> None:
    found = look(width, theme)
    assert found["broken"] == []
    assert found["images"] >= 12
    assert found["charts"] >= 12
    assert found["requests"] == []


@EVERYWHERE
def test_text_can_be_read(look: Callable[[int, str], Look], width: int, theme: str) -> None:
    """Contrast of at least 4.5, of large text 3: WCAG 2.2, level AA."""
    texts = look(width, theme)["texts"]
    assert len(texts) > 300
    faint = [
        text
        for text in texts
        if text["contrast"] < (3.0 if text["size"] >= LARGE_TEXT and text["bold"] else 4.5)
    ]
    assert faint == []
    # A chart's text shrinks with the chart; below this it is a smudge.
    assert min(text["size"] for text in texts) >= 7.5


@EVERYWHERE
def test_nothing_lies_on_something_else(look: Callable[[int, str], Look], width: int, theme: str) -> None:
    assert look(width, theme)["overlaps"] == []


def test_the_measurement_notices_what_a_person_would(chromium: str, tmp_path: Path) -> None:
    page = (
        "<!DOCTYPE html><body style='margin: 0; background: white'>"
        "<p style='color: #cccccc'>faint</p><p style='width: 600px'>wide</p>"
        "<h2 style='margin: 0'>title</h2><h3 style='margin: -20px 0 0'>on the title</h3>"
        "<img alt='lost' src='http://127.0.0.1:9/lost.png'>"
    )
    found = measured(chromium, page, PHONE, LIGHT, tmp_path)
    assert [text["text"] for text in found["texts"] if text["contrast"] < 4.5] == ["faint"]
    assert [text.split(": ")[1] for text in found["outside"]] == ["wide"]
    assert found["scroll_width"] == 600
    assert found["broken"] == ["lost"]
    assert found["requests"] == ["http://127.0.0.1:9/lost.png"]
    assert [text.partition(" | ")[2] for text in found["overlaps"]] == ["H3.: on the title"]


def test_the_themes_differ(look: Callable[[int, str], Look]) -> None:
    assert look(DESKTOP, LIGHT)["page_luminance"] > 0.8
    assert look(DESKTOP, DARK)["page_luminance"] < 0.05


def rich_report() -> Report:
    """A report with everything that one can have, long names and all."""
    rng = np.random.default_rng(0)
    steps = np.arange(1, 60)
    return Report(
        title="Uni-Mol2 evaluation",
        summary=f"{N} molecules of the test split, separated by scaffold; the network has never seen their "
        "labels. An ensemble of 3 networks.",
        targets=[
            _target("regression", rng),
            _target("binary", rng),
            _target("multiclass", rng),
            TargetResult("homo", "Hartree", "regression", [-0.26, -0.24], [-0.24243, -0.24221], []),
        ],
        curves=[
            Curve(
                title,
                "optimiser step",
                "loss",
                {f"seed-{k}": (steps, 5.0 / steps + rng.random(59) / 9) for k in range(3)},
            )
            for title in ("pretraining", "Uni-Mol2, training", "Uni-Mol2, validation")
        ],
        worst=[_worst(k) for k in range(6)],
        data_card={
            "train molecules": "1,920",
            "dataset": "s3://laboratory-of-medicinal-chemistry/datasets/solubility/0123456789abcdef" * 2,
        },
        parameters={
            "prepare": {"seed": 0, "split": "scaffold"},
            "finetune": {"learning_rate": 1e-4, "targets": ["solubility_at_pH_7.4", "toxic", "class"]},
            "evaluate": {"published": None, "baselines": ["fingerprint", "descriptors"]},
        },
        lineage=[
            LineageStep("dataset", "labelled data", "9f" * 32, [("table", "7b" * 32)], "0.1.0"),
            LineageStep("model", "pretraining", "a1" * 32),
            LineageStep(
                "predictor",
                "Uni-Mol2",
                "3c" * 32,
                [("model, pretraining", "a1" * 32), ("random weights", "")],
            ),
        ],
    )


def _target(kind: TargetKind, rng: np.random.Generator) -> TargetResult:
    true, pred, poor = _values(kind, rng)
    measure = METRICS[kind]
    rows = [
        ScoreRow(name, measure(true, values), bootstrap_intervals(measure, true, values, 0, 40), role)
        for name, values, role in (
            ("Uni-Mol2", pred, "model"),
            ("descriptors + gradient boosting", poor, "baseline"),
        )
    ]
    spread, similarity = rng.gamma(2.0, 0.1, N), rng.beta(4, 3, N)
    coverage = []
    if kind == "regression":
        errors = np.abs(rng.normal(0, 0.5, 300))
        coverage = [
            measured_coverage(true, pred, conformal_halfwidth(errors, level), level) for level in LEVELS
        ]
        at = next(found for found in coverage if found.level == 0.9)
        said = {
            "coverage_90": at.fraction,
            "interval_width_90": 2 * at.halfwidth,
            "spread": float(spread.mean()),
        }
        rows[0] = ScoreRow("Uni-Mol2", {**rows[0].metrics, **said}, rows[0].intervals)
        rows.append(ScoreRow("Uni-Mol2 84M, atom and bond features", {"mae": 0.41}, role="published"))
    scaffolds = ["c1ccc2ccccc2c1", "", "c1ccc(-c2ccccc2)cc1", "C1CCNCC1", "O=C1CCc2ccccc2N1"]
    drawings = {text: draw_svg(text, (200, 120)) for text in scaffolds if text}
    groupings = [
        by_novelty(rng.random(N) < 0.6),
        by_similarity(similarity),
        by_size(rng.integers(9, 40, N)),
        by_scaffold_cluster([scaffolds[k] for k in rng.integers(0, len(scaffolds), N)]),
    ]
    compared = {"Uni-Mol2": pred, "descriptors + gradient boosting": poor}
    return TargetResult(
        name={"regression": "solubility_at_pH_7.4", "binary": "toxic", "multiclass": "class"}[kind],
        unit="log mol/L" if kind == "regression" else "",
        kind=kind,
        y_true=true,
        y_pred=pred,
        rows=rows,
        members={"mae": MemberScores(0.43, 0.012, (0.42, 0.43, 0.44))},
        coverage=coverage,
        spread=spread,
        similarity=similarity,
        groups=[group_table(grouping, kind, true, compared, 0, 20, drawings) for grouping in groupings],
    )


def _values(kind: TargetKind, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    if kind == "regression":
        true = rng.normal(-3.0, 1.5, N)
        true[:7] = np.nan
        known = np.nan_to_num(true)
        return true, known + rng.normal(0, 0.5, N), known + rng.normal(0, 0.8, N)
    if kind == "binary":
        probability = rng.random(N)
        return (rng.random(N) < probability).astype(float), probability, rng.random(N)
    probability = rng.dirichlet([0.5, 0.5, 0.5], N)
    labels = np.array([rng.choice(3, p=row) for row in probability], float)
    return labels, probability, rng.dirichlet([1, 1, 1], N)


def _worst(k: int) -> WorstPrediction:
    smiles, other = SMILES[4 * k], SMILES[4 * k + 1]
    return WorstPrediction(
        smiles,
        draw_svg(smiles),
        "solubility_at_pH_7.4",
        -6.2 + k,
        -2.1,
        name=f"CHEMBL{100200300 + k}",
        interval=(-3.0, -1.2),
        spread=0.31,
        neighbour=Neighbour(f"CHEMBL{7 + k}", 0.43 + k / 20, other, draw_svg(other), -2.4),
    )
