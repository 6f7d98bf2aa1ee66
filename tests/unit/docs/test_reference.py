"""The generated reference against what it describes."""

import re

import pytest
from command_checks import parse_unimol2

from docs.site.artifact_tables import tables_page
from docs.site.catalogues import benchmarks_page, datasets_page
from docs.site.commands import command_line, commands_page
from docs.site.flows import flows_page
from docs.site.markdown import prose, table
from docs.site.parameters import parameters_page, settings_page
from docs.site.python_api import python_pages
from unimol2_tasks.artifacts.schemas import MOLECULES
from unimol2_tasks.datasets.benchmarks import benchmarks
from unimol2_tasks.datasets.catalogue import catalogue
from unimol2_tasks.params import Params
from unimol2_tasks.settings import Unimol2Settings


def rows_of(page: str, chapter: str) -> dict[str, list[str]]:
    """The cells of a chapter's table by the text of their first one."""
    text = re.split(r"^##+ ", page.partition(f"{{#{chapter}}}")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line[:2] == "| "
    ]
    return {row[0]: row[1:] for row in rows[2:]}


@pytest.mark.parametrize("section", Params.model_fields)
def test_every_key_of_a_section_has_a_row(section: str) -> None:
    rows = rows_of(parameters_page(), section)
    model = Params.model_fields[section].annotation
    assert model is not None
    assert list(rows) == [f"`{key}`" for key in model.model_fields]
    assert all(row[-1] for row in rows.values())


def test_a_row_has_type_default_range_and_meaning() -> None:
    rows = rows_of(parameters_page(), "prepare")
    assert rows["`conformers`"] == [
        "whole number",
        "`10`",
        "≥ 1, ≤ 100",
        "3D conformers per molecule (the paper: 10).",
    ]
    assert rows["`standardise`"][:2] == ["`none`, `clean`, `parent`", "`clean`"]
    assert rows_of(parameters_page(), "launch")["`slurm`"][0] == "[launch.slurm](#launch-slurm)"
    assert rows_of(parameters_page(), "launch-slurm")["`options`"][:2] == ["list of text", "`[]`"]
    assert rows_of(parameters_page(), "study")["`sizes`"][0] == "list of [model](#model)"
    assert rows_of(parameters_page(), "search")["`space`"][0].startswith(
        "mapping to [search.space](#search-space) or list of"
    )


def test_every_setting_has_a_row() -> None:
    assert all(f"| `{name}` |" in settings_page() for name in Unimol2Settings.model_fields)


def test_every_command_and_option_is_there() -> None:
    page = commands_page()
    for name, command in command_line().commands.items():
        for words, found in [
            (name, command),
            *((f"{name} {inner}", one) for inner, one in getattr(command, "commands", {}).items()),
        ]:
            if hasattr(found, "commands"):
                continue
            chapter = rows_of(page, f"unimol2-{words.replace(' ', '-')}")
            options = [option.opts[0] for option in found.params if option.param_type_name == "option"]
            assert all(any(row.startswith(f"`{option}") for row in chapter) for option in options), words
    assert rows_of(page, "unimol2-scaling-plan")["`--utilisation <float>`"][-1] == "0.3"
    assert parse_unimol2(["demo"])


def test_every_data_set_and_benchmark_is_there() -> None:
    datasets, judged = datasets_page(), benchmarks_page()
    assert all(f"{{#{one.name}}}" in datasets and one.doi in datasets for one in catalogue())
    assert all(f"`{task.name}`" in judged for one in benchmarks() for task in one.tasks)


def test_every_column_of_a_dataset_is_there() -> None:
    page = tables_page()
    assert all(f"| `{name}` |" in page for name in MOLECULES.columns if not name.startswith("^"))
    assert "`label:…`" in page


def test_python_reference_names_what_is_exported() -> None:
    pages = python_pages()
    assert "::: unimol2_tasks.tasks.prepare_dataset" in pages["tasks.md"]
    assert "::: unimol2_tasks.stages.finetune" in pages["stages.md"]
    assert "::: unimol2_tasks.blocks.ArtifactStore" in pages["blocks.md"]
    assert "::: unimol2_model.ModelConfig" in pages["model.md"]


def test_every_flow_is_there_with_its_parameters() -> None:
    page = flows_page()
    assert rows_of(page, "finetune")["`table`"][0] == "needed"
    assert all(row[-1] for row in rows_of(page, "prepare").values())
    assert rows_of(page, "reproduce")["`rev`"][0] == "`HEAD`"


def test_values_do_not_break_a_table() -> None:
    assert prose("a|b * `c|d` <e>") == r"a\|b \* `c\|d` \<e\>"
    assert table(("a", "b"), [("1", ""), ("2", "")]) == "| a |\n| --- |\n| 1 |\n| 2 |\n"
