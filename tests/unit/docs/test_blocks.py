"""Every code block of the documentation: commands, Python and settings that their readers would accept."""

import ast
import re
import shlex
import subprocess
from collections import Counter

import pytest
from command_checks import CHECKS, ELSEWHERE, PLAIN, check, program_of
from fenced_blocks import ROOT, Block, all_blocks, blocks_in
from python_checks import imported, wrong_calls
from settings_checks import check_settings
from shell_lines import commands

SHELL = ("bash", "sh", "")
SETTINGS = ("yaml", "json", "toml")
SHOWN = ("text", "csv", "mermaid")
"""What a program printed, and diagrams, which the site draws."""


def of_ours(block: Block) -> list[list[str]]:
    return [words for words in commands(block.text) if program_of(words) in CHECKS]


@pytest.mark.parametrize("block", blocks_in(*SHELL), ids=str)
def test_every_command_is_accepted_by_its_program(block: Block) -> None:
    assert subprocess.run(["bash", "-n", "-c", block.text], check=False).returncode == 0
    for words in of_ours(block):
        print(f"{block}: {shlex.join(words)}")  # shown with the refusal
        check(words)


@pytest.mark.parametrize("block", blocks_in(*SHELL), ids=str)
def test_every_file_of_the_project_that_a_command_names_is_there(block: Block) -> None:
    named = {
        path
        for words in commands(block.text)
        for word in words
        for path in re.findall(r"(?:^|=)((?:benchmarks|data/demo|flows|infra|recipes|tests)/[\w./-]+)$", word)
    }
    made_by_the_reader = {"infra/terraform/terraform.tfvars"}
    assert [path for path in named - made_by_the_reader if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("block", blocks_in("python"), ids=str)
def test_every_python_block_finds_what_it_imports_and_calls_it_rightly(block: Block) -> None:
    tree = ast.parse(block.text, str(block))
    assert list(wrong_calls(tree, imported(tree))) == []


@pytest.mark.parametrize("block", blocks_in(*SETTINGS), ids=str)
def test_every_block_of_settings_is_accepted(block: Block) -> None:
    check_settings(block.language, block.text)


def test_every_block_is_run_checked_or_marked_with_its_reason() -> None:
    known = {*CHECKS, *ELSEWHERE, *PLAIN}
    unknown = [
        f"{block}: {words[0]}"
        for block in blocks_in(*SHELL)
        for words in commands(block.text)
        if program_of(words) not in known
    ]
    assert unknown == [], "say in <!-- not run: … --> before the block why it is neither run nor checked"
    languages = {*SHELL, *SETTINGS, *SHOWN, "python"}
    assert [
        str(block) for block in all_blocks() if block.language not in languages and not block.reason
    ] == []


def test_there_are_blocks_of_every_kind() -> None:
    count = Counter(block.language for block in all_blocks())
    assert count["bash"] > 50
    assert count["python"] > 20
    assert count["yaml"] > 5


@pytest.mark.parametrize(
    "line",
    [
        "unimol2 prepare --input a.csv --outt b",
        "unimol2 prepair",
        "unimol2 prepare --input a.csv",
        "unimol2 finetune --dataset a --out b --set finetune.epoch=3",
        "unimol2 finetune --dataset a --out b --set finetune.precision=fp8",
        "prefect worker begin --pool a",
        "prefect worker start --poool a",
        "prefect deployment run unimol2-prepare/nightly",
        "dvc exp run -S finetune.rate=3",
        "dvc repro finetone",
        "python benchmarks/thruput.py",
        "make demoo",
    ],
)
def test_a_command_that_would_be_refused_is_noticed(line: str) -> None:
    with pytest.raises((Exception, SystemExit)):
        check(next(commands(line)))


@pytest.mark.parametrize(
    "code",
    [
        "from unimol2_tasks.tasks import prepare_datasett",
        "from unimol2_tasks.tasks import predict_table\npredict_table('a', 'b', tabel='c')",
        "from unimol2_tasks.stages import prepare\nprepare.runn()",
    ],
)
def test_python_that_would_fail_is_noticed(code: str) -> None:
    tree = ast.parse(code)
    with pytest.raises((AssertionError, ImportError)):
        assert list(wrong_calls(tree, imported(tree))) == []
