"""Whether a command of a page would be accepted by the program that it names; nothing is run."""

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from dvc.cli import parse_args
from fenced_blocks import ROOT
from prefect.cli._app import _app as prefect_app

from docs.site.commands import command_line
from unimol2_tasks.params import parse_params

PLAIN = frozenset(
    {".", "cat", "cd", "cp", "echo", "export", "ls", "mkdir", "mv", "rm", "set", "sleep", "source", "tail"}
)
"""What every shell has."""

ELSEWHERE: Mapping[str, str] = {
    "aws": "needs a bucket of somebody",
    "curl": "needs a server of somebody",
    "docker": "needs a container engine",
    "git": "acts on a repository of somebody",
    "helm": "needs a cluster",
    "kubectl": "needs a cluster",
    "kubeconform": "needs its own installation",
    "pip": "installs packages",
    "pip-audit": "needs its own installation",
    "scancel": "needs Slurm",
    "squeue": "needs Slurm",
    "tensorboard": "waits for a browser",
    "terraform": "needs an account of somebody",
    "tmux": "waits for a person",
    "tofu": "needs an account of somebody",
    "pre-commit": "changes the clone",
}
"""Programs that are not of this project and cannot run here, with the reason."""


def check(words: Sequence[str]) -> None:
    """Refuse a command that its program would refuse.

    Raises:
        AssertionError: It names something that is not there.
        Exception: What the program's own parser raises.
    """
    CHECKS[program_of(words)]([*words[1:]])


def program_of(words: Sequence[str]) -> str:
    """The name by which a command's program is known here."""
    return "script of the project" if (ROOT / words[0]).is_file() else words[0].rpartition("/")[2]


def parse_unimol2(words: list[str]) -> dict[str, Any]:
    """The values that a command line of `unimol2` gives."""
    command = _command_line()
    while hasattr(command, "commands"):
        if words in (["--help"], []):
            return {}
        assert words[0] in command.commands, f"No such command: {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return {} if words == ["--help"] else dict(command.make_context(command.name, list(words)).params)


@cache
def _command_line() -> Any:
    return command_line()


def _check_unimol2(words: list[str]) -> None:
    assignments = parse_unimol2(words).get("assignments") or ()
    parse_params(_assigned(assignments), "--set")


def _assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """What `--set` makes of an empty file."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        assert sign, f"--set {assignment}: expected SECTION.KEY=VALUE"
        *sections, key = path.split(".")
        inner = values
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[key] = yaml.safe_load(text)
    return values


def _check_prefect(words: list[str]) -> None:
    # The root's own options are read by another parser.
    words = [_like_an_id(word) for word in words if word not in ("--no-prompt", "--prompt")]
    if "--help" in words:
        return
    prefect_app.parse_args(words, exit_on_error=False, print_error=False)
    if words[:2] == ["deployment", "run"] and not words[2].startswith("-"):
        _check_run(words[2:])


def _like_an_id(word: str) -> str:
    """What stands for an id of the reader's own has to look like one."""
    return "00000000-0000-0000-0000-000000000000" if re.fullmatch(r"[A-Z_]+_ID", word) else word


def _check_run(words: list[str]) -> None:
    """The deployment is one of `prefect.yaml`, and its flow takes the parameters."""
    flow = _deployed()[words[0]]
    given = json.loads(words[words.index("--params") + 1]) if "--params" in words else {}
    for number, word in enumerate(words):
        if word in ("--param", "-p"):
            key, _, value = words[number + 1].partition("=")
            given[key] = value
    known = flow.parameters.properties
    assert given.keys() <= known.keys(), f"{words[0]} has no {sorted(given.keys() - known.keys())}"


@cache
def _deployed() -> dict[str, Any]:
    """The flows by the names of their deployments."""
    settings = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    found = {}
    for deployment in settings["deployments"]:
        file, _, name = deployment["entrypoint"].partition(":")
        module = re.sub(r"^flows/|\.py$", "", file).replace("/", ".")
        flow = getattr(import_module(module), name)
        found[f"{flow.name}/{deployment['name']}"] = flow
    return found


def _check_dvc(words: list[str]) -> None:
    arguments = parse_args(words)
    for combination in _combinations(getattr(arguments, "set_param", None) or ()):
        parse_params(_assigned(combination), "-S")
    if words[0] == "repro" or words[:2] == ["exp", "run"]:
        stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        unknown = {target.partition("@")[0] for target in arguments.targets or ()} - stages.keys()
        assert not unknown, f"dvc.yaml has no {sorted(unknown)}"


def _combinations(assignments: Sequence[str]) -> list[tuple[str, ...]]:
    """The experiments that values separated by commas stand for."""
    choices = []
    for assignment in assignments:
        key, _, values = assignment.partition("=")
        several = [values] if values.startswith(("[", "{")) else values.split(",")
        choices.append([f"{key}={value}" for value in several])
    return list(itertools.product(*choices)) if choices else []


def _check_python(words: list[str]) -> None:
    """A script or module of the project that knows the options."""
    if words[0] == "-m":
        script = ROOT / Path(*words[1].split(".")).with_suffix(".py")
        rest = words[2:]
    else:
        script, rest = ROOT / words[0], words[1:]
    if words[0] == "-m" and words[1].partition(".")[0] not in ("benchmarks", "data"):
        return
    if words[0] != "-m" and "/" not in words[0]:
        return  # The reader's own: a page before this command says what it holds.
    assert script.is_file(), f"there is no {script.relative_to(ROOT)}"
    source = script.read_text(encoding="utf-8")
    for option in (word.partition("=")[0] for word in rest if word.startswith("--")):
        known = option in source or option.lstrip("-").replace("-", "_") in source
        assert known, f"{script.name} does not know {option}"


def _check_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in (word for word in words if "=" not in word and not word.startswith("-")):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"make knows no {target}"


def _check_pytest(words: list[str]) -> None:
    for path in (word for word in words if word.startswith("tests/")):
        assert (ROOT / path.partition("::")[0]).exists(), f"there is no {path}"


def _check_script(_: list[str]) -> None:
    """It is there; what it does is tested where it lies."""


CHECKS: Mapping[str, Callable[[list[str]], None]] = {
    "unimol2": _check_unimol2,
    "prefect": _check_prefect,
    "dvc": _check_dvc,
    "python": _check_python,
    "make": _check_make,
    "pytest": _check_pytest,
    "script of the project": _check_script,
}
"""The programs whose commands can be checked without running them."""
