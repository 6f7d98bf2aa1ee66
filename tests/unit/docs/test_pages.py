"""What the pages name: files, parameters, settings."""

import re
from pathlib import Path

import pytest
from fenced_blocks import ROOT, pages

from unimol2_tasks.params import Params

LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_leads_somewhere_on_github_too(page: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(page.read_text(encoding="utf-8"))]
    local = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_parameter_that_a_page_names_exists(page: Path) -> None:
    sections = "|".join(Params.model_fields)
    named = re.findall(rf"`({sections})\.(\w+)", page.read_text(encoding="utf-8"))
    unknown = [
        f"{section}.{key}"
        for section, key in named
        if key not in type(getattr(Params(), section)).model_fields
        and key not in ("safetensors", "md", "yaml")
    ]
    assert unknown == []


def test_no_page_is_missing_from_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = set(re.findall(r"(?:- |: )([\w./-]+\.md)$", navigation, re.MULTILINE))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= listed
