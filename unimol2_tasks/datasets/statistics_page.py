"""Render a dataset's statistics as one HTML page that needs nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unimol2_tasks.chemistry.drawing import draw_svg
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.datasets.statistics_figures import (
    conformer_chart,
    element_chart,
    label_chart,
    scaffold_chart,
    size_chart,
)
from unimol2_tasks.datasets.statistics_leakage import leakage_section
from unimol2_tasks.evaluation.charts import Chart
from unimol2_tasks.evaluation.pages import data_uri, page_environment
from unimol2_tasks.evaluation.scoretable import number

_DRAWN_SCAFFOLDS = 6
_SHOWN_SOURCES = 10
_CHANGES = {
    "cleaned": "cleaned up",
    "fragments": "smaller fragments removed",
    "charges": "charges neutralised",
    "tautomer": "brought into the canonical tautomer",
    "isotopes": "isotope labels removed",
    "stereo": "stereochemistry removed",
}


@dataclass(frozen=True, slots=True)
class _LabelSection:
    """Facts and a chart of one label; no chart where no molecule has it."""

    name: str
    facts: list[tuple[str, str]]
    charts: list[Chart]


@dataclass(frozen=True, slots=True)
class _ScaffoldCard:
    smiles: str
    drawing: str
    """Source of an image; empty where RDKit cannot draw it."""
    molecules: int
    share: float


def render_statistics(summary: Mapping[str, Any]) -> str:
    """Render what `statistics.summarise` counted; the same summary always gives the same bytes.

    Args:
        summary: Every text in it is escaped, so names and SMILES may come from strangers' files;
            drawings are embedded as images, in which nothing can run.

    Returns:
        The HTML document, to be written as UTF-8.
    """
    sources = summary["sources"]
    total = summary["molecules"]
    template = page_environment("unimol2_tasks.datasets").get_template("statistics.html.jinja")
    return template.render(
        summary=summary,
        sources=sources[:_SHOWN_SOURCES],
        more_sources=max(len(sources) - _SHOWN_SOURCES, 0),
        total=total,
        molecule_charts=[
            size_chart(summary["heavy_atoms"]),
            element_chart(summary["element_molecules"], total),
        ],
        conformer_chart=conformer_chart(summary["conformers"]),
        methods=_methods(summary),
        scaffold_charts=_scaffold_charts(summary),
        scaffolds=[_scaffold_card(entry, total) for entry in summary["top_scaffolds"][:_DRAWN_SCAFFOLDS]],
        labels=[_label(name, label, total) for name, label in summary["labels"].items()],
        leakage=leakage_section(summary["leakage"]),
        changes=[(_CHANGES.get(name, name), count) for name, count in summary["standardisation"].items()],
    )


def _methods(summary: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """How conformers were made: method, molecules, range of energies."""
    rows = []
    for method, molecules in summary["methods"].items():
        energies = summary["energies"].get(method)
        span = f"{number(energies['min'])} to {number(energies['max'])}" if energies else "none"
        rows.append((method, molecules, span))
    return rows


def _scaffold_charts(summary: Mapping[str, Any]) -> list[Chart]:
    counts = [entry["molecules"] for entry in summary["top_scaffolds"]]
    return [scaffold_chart(summary["table"], counts, summary["molecules"])] if counts else []


def _scaffold_card(entry: Mapping[str, Any], total: int) -> _ScaffoldCard:
    smiles, molecules = entry["scaffold"], entry["molecules"]
    return _ScaffoldCard(smiles, data_uri(_drawing(smiles)), molecules, molecules / total)


def _drawing(smiles: str) -> str:
    try:
        return draw_svg(smiles)
    except Rejected:
        # What is left of an unusual aromatic ring without its substituents may be no valid molecule.
        return ""


def _label(name: str, label: Mapping[str, Any], total: int) -> _LabelSection:
    facts = [("molecules", f"{label['known']:,} of {total:,}")]
    if not label["known"]:
        return _LabelSection(name, facts, [])
    names = ("mean", "std", "min", "median", "max")
    return _LabelSection(name, facts + [(key, number(label[key])) for key in names], [label_chart(label)])
