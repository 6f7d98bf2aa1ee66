"""The report of a scaling study: one page, its figures as files, its tables as Markdown."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact, Recipe, Store
from unimol2_tasks.evaluation.charts import standalone
from unimol2_tasks.evaluation.pages import page_environment
from unimol2_tasks.stages.scaling_results.figures import study_figures
from unimol2_tasks.stages.scaling_results.law_files import read_fit, read_points
from unimol2_tasks.stages.scaling_results.tables import names_of, percent, study_tables

PAGE = "study.html"
TABLES = "study.md"
METRICS = "metrics.json"


def run(law: str, out: str, store: Store = Store()) -> ArtifactRef:
    """Write the report of a fitted law.

    The artifact: `study.html`, a page that needs no other file; its figures as SVG; `study.md`, its tables;
    `metrics.json`, the scores of every form on what was held out.

    Raises:
        UserError: The law is missing.
    """
    fitted = store.fetch(law, "law")
    recipe = Recipe("report", {"study": True}, {"law": fitted.manifest.digest})
    found = store.find(recipe, out)
    if found is not None:
        return found
    with store.draft(out) as draft:
        _write(draft, fitted)
        return store.publish(draft, out, recipe)


def _write(folder: Path, law: LocalArtifact) -> None:
    fit = read_fit(law.path)
    tables, figures = study_tables(fit), study_figures(read_points(law.path))
    for name, figure in figures.items():
        (folder / f"{name}.svg").write_text(standalone(figure), encoding="utf-8")
    text = "\n".join([summary(fit) + "\n", *(table.markdown() for table in tables)])
    (folder / TABLES).write_text(text, encoding="utf-8")
    scores = {"held-out sizes": {one["name"]: one["tested"] for one in fit["alternatives"] if one["tested"]}}
    (folder / METRICS).write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    template = page_environment("unimol2_tasks.scaling").get_template("study.html.jinja")
    page = template.render(
        summary=summary(fit),
        doubts=doubts(fit),
        tables=tables,
        figures=list(figures.values()),
        lineage=_lineage(law),
    )
    (folder / PAGE).write_text(page, encoding="utf-8")


def summary(fit: Mapping[str, Any]) -> str:
    """One or two sentences: what was fitted, and how well it predicts."""
    sizes, steps, names = fit["sizes"], fit["steps"], names_of(fit)
    text = (
        f"Fitted on {len(sizes)} sizes from {names[min(sizes)]} to {names[max(sizes)]} parameters, "
        f"steps {min(steps):,.0f} to {max(steps):,.0f}; the error there is {percent(fit['metrics']['rmae'])}."
    )
    for one in sorted(fit["held_out"].values(), key=lambda one: one["millions"]):
        text += f" The losses of {names[one['millions']]} are predicted with {percent(one['rmae'])}."
    return text


def doubts(fit: Mapping[str, Any]) -> list[str]:
    """What a reader must know before using the law."""
    found = [f"The {term['name']} term is {term['doubt']}." for term in fit["terms"] if term["doubt"]]
    if fit["agreeing_starts"] < 2:
        found.append("Only one start of the fit found these constants; others may be as good.")
    if len(fit["sizes"]) < 3:
        found.append("With two sizes any law fits in size: whether it holds for a third is not known.")
    return found


def _lineage(law: LocalArtifact) -> list[tuple[str, str]]:
    return [("law", law.manifest.digest), *law.manifest.parents.items()]
