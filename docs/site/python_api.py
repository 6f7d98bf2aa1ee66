"""Pages of Python reference: which objects each shows; mkdocstrings writes them from the docstrings."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

_PREDICTOR = (
    "# Predictor\n\n::: unimol2_tasks.predictor.Predictor\n    options:\n      show_root_heading: true\n"
)
_TASKS = (
    "# Prefect tasks\n\nEach is imported from `unimol2_tasks.tasks`; how they are chained: "
    "[for pipeline authors](../../pipeline-author.md).\n"
)
_STAGES = (
    "# Stages\n\nOne plain function per step, without Prefect: `from unimol2_tasks.stages import prepare` "
    "and `prepare.run(…)`.\n"
)
_BLOCKS = "# Prefect blocks\n\nEach is imported from `unimol2_tasks.blocks`.\n"
_MODEL = (
    "# The network\n\nEach is imported from `unimol2_model`; what it computes: "
    "[the network](../../model.md).\n"
)
_STEPS = frozenset({"run", "from_released", "verify"})
"""The functions that are steps."""


def python_pages() -> dict[str, str]:
    """The pages by their place below `reference/python/`."""
    return {
        "predictor.md": _PREDICTOR,
        "tasks.md": _TASKS + _exports("unimol2_tasks.tasks"),
        "stages.md": _STAGES + "".join(_modules("unimol2_tasks.stages")),
        "blocks.md": _BLOCKS + _exports("unimol2_tasks.blocks"),
        "model.md": _MODEL + _exports("unimol2_model"),
    }


def _exports(package: str) -> str:
    """What a package exports, each shown where it is defined and named as it is imported."""
    names = import_module(package).__all__
    return "".join(f"\n::: {package}.{name}\n    options:\n      show_root_heading: true\n" for name in names)


def _modules(package: str) -> Iterator[str]:
    """The modules of a package that are a step, and not a part of one."""
    for found in pkgutil.iter_modules(import_module(package).__path__):
        module = f"{package}.{found.name}"
        if _STEPS & vars(import_module(module)).keys():
            options = "heading_level: 3\n      show_root_toc_entry: false"
            yield f"\n## {found.name}\n\n::: {module}\n    options:\n      {options}\n"
