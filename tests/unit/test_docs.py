"""The documentation against the code: links, commands, options, parameters and Python that it shows."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from unimol2_flows.demo import demo
from unimol2_tasks.cli import app
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import Params, load_params

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
OPERATORS = {"&&", "||", ";", "|", "&", ">", ">>"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    return [
        Block(page, text[: match.start()].count("\n") + 2, match[1], match[2])
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        if match[1] in languages
    ]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Where each shell command is, and its words; `#` begins a comment, as in bash."""
    for block in blocks("bash", "sh", ""):
        for offset, line in enumerate(block.text.replace("\\\n", "  ").splitlines()):
            words: list[str] = []
            for word in [*shlex.split(line, comments=True), ";"]:
                if word not in OPERATORS:
                    words.append(word)
                    continue
                if words:
                    yield f"{block.page.name}:{block.line + offset}", words
                words = []


def unimol2_commands() -> list[Any]:
    return [
        pytest.param(words[1:], id=where)
        for where, words in commands()
        if words[0].rpartition("/")[2] == "unimol2"
    ]


@pytest.fixture(scope="module")
def command_line() -> Any:
    """What `unimol2` is once `main` has added the commands of the flows."""
    whole = typer.Typer()
    whole.registered_commands = [*app.registered_commands]
    whole.registered_groups = [*app.registered_groups]
    whole.command("demo")(demo)
    return typer.main.get_command(whole)


def parse(command: Any, words: list[str]) -> dict[str, Any]:
    """The values that a command line gives; nothing is run. Typer raises its usage errors."""
    while hasattr(command, "commands"):
        if words in (["--help"], []):
            return {}
        assert words[0] in command.commands, f"No such command: {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return dict(command.make_context(command.name, list(words)).params)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [
        target
        for target in targets
        if target and not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("words", unimol2_commands())
def test_every_command_exists_with_its_options_and_parameters(
    command_line: Any, words: list[str], tmp_path: Path
) -> None:
    values = parse(command_line, words)
    # An empty file, so that only the assignments themselves can be refused.
    (tmp_path / "params.yaml").write_text("", encoding="utf-8")
    load_params(tmp_path / "params.yaml", values.get("assignments") or ())


@pytest.mark.parametrize(
    "words",
    [["prepare", "--input", "a.csv", "--outt", "b"], ["prepair"], ["prepare", "--input", "a.csv"]],
)
def test_a_command_that_does_not_exist_would_be_noticed(command_line: Any, words: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such|Missing"):
        parse(command_line, words)


def test_every_parameter_that_a_page_names_exists() -> None:
    sections = "|".join(Params.model_fields)
    unknown = [
        f"{page.name}: {section}.{key}"
        for page in PAGES
        for section, key in re.findall(rf"`({sections})\.(\w+)", page.read_text(encoding="utf-8"))
        if key != "safetensors" and key not in getattr(Params(), section).model_dump()
    ]
    assert unknown == []


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_every_parameter_file_is_accepted(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(block.text, encoding="utf-8")
    try:
        load_params(path)
    except ParameterError as error:
        pytest.fail(f"{block}: {error}")


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_every_python_block_compiles_and_its_imports_are_there(block: Block) -> None:
    # Line numbers of a failure are those of the page.
    compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
    for module, names in re.findall(r"^from (unimol2\w*[\w.]*) import (.+)$", block.text, re.MULTILINE):
        for name in names.split(","):
            assert hasattr(import_module(module), name.strip()), f"{block}: {module} has no {name.strip()}"
