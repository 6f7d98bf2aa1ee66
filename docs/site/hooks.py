"""What MkDocs is told while it builds the site: pages that are generated, links, diagrams."""

from collections.abc import Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.site.artifact_tables import tables_page
from docs.site.catalogues import benchmarks_page, datasets_page
from docs.site.commands import commands_page
from docs.site.diagrams import diagram
from docs.site.flows import flows_page
from docs.site.links import site_links
from docs.site.parameters import parameters_page, settings_page
from docs.site.python_api import python_pages

ROOT = Path(__file__).parents[2]

REPOSITORY_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "reporting-a-hole.md",
    "benchmarks/README.md": "results/benchmarks.md",
}
"""Pages of the site that lie outside of `docs/`."""

DESCRIBED = {
    "unimol2_tasks/params": "reference/parameters.md",
    "unimol2_tasks/datasets/catalogue.yaml": "reference/datasets.md",
    "unimol2_tasks/datasets/benchmarks.yaml": "reference/benchmarks.md",
    "unimol2_tasks/artifacts/schemas.py": "reference/tables.md",
    "unimol2_tasks/artifacts/prediction_schemas.py": "reference/tables.md",
    "unimol2_tasks/settings.py": "reference/settings.md",
}
"""Sources that a page of the reference is made of."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have diagrams drawn, and list the results that there are."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "mermaid", "class": "diagram", "format": diagram})
    for entry in config.nav or []:
        if "Results" in entry:
            entry["Results"] = [*entry["Results"], *_results()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, and those that the code describes."""
    for source, page in REPOSITORY_PAGES.items():
        if (ROOT / source).is_file():
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=text))
    for page, text in _reference().items():
        files.append(File.generated(config, f"reference/{page}", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a page to the site."""
    place = page.file.src_uri
    if place.startswith("reference/"):
        return markdown
    source = next((file for file, there in REPOSITORY_PAGES.items() if there == place), f"docs/{place}")
    return site_links(markdown, source, place, _pages(files))


def _pages(files: Iterable[File]) -> dict[str, str]:
    """The site's file for each file of the repository that has one."""
    there = {file.src_uri for file in files}
    listed = {f"docs/{name}": name for name in there}
    elsewhere = {source: name for source, name in (REPOSITORY_PAGES | DESCRIBED).items() if name in there}
    return listed | elsewhere


def _reference() -> dict[str, str]:
    return {
        "parameters.md": parameters_page(),
        "settings.md": settings_page(),
        "commands.md": commands_page(),
        "datasets.md": datasets_page(),
        "benchmarks.md": benchmarks_page(),
        "tables.md": tables_page(),
        "python/flows.md": flows_page(),
        **{f"python/{name}": text for name, text in python_pages().items()},
    }


def _results() -> list[str]:
    return [f"results/{path.name}" for path in sorted((ROOT / "docs" / "results").glob("*.md"))]
