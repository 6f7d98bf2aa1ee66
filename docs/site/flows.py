"""Every Prefect flow with its parameters, as Prefect's own form shows them."""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from prefect import Flow

import unimol2_flows
from docs.site.markdown import code, prose, table

# At once: Prefect reads docstrings with griffe, and silences what it says only until mkdocstrings has begun.
_MODULES = [
    import_module(f"unimol2_flows.{found.name}") for found in pkgutil.iter_modules(unimol2_flows.__path__)
]


def flows_page() -> str:
    """The page about the flows: a chapter for each."""
    return (
        "# Prefect flows\n\nEach can be called as a subflow and deployed: "
        "[for pipeline authors](../../pipeline-author.md), [deployments](../../deployments.md). "
        "The keys of a parameter `params` are those of [params.yaml](../parameters.md).\n"
    ) + "".join(_chapter(module, flow) for module, flow in flows())


def flows() -> Iterator[tuple[str, Flow[..., Any]]]:
    """The flows by the modules that define them."""
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, Flow) and value.fn.__module__ == module.__name__:
                yield module.__name__, value


def _chapter(module: str, flow: Flow[..., Any]) -> str:
    about = (flow.description or "").partition("\n\nArgs:")[0]
    needed = flow.parameters.required or ()
    rows = [
        (
            code(name),
            "needed" if name in needed else _default(field),
            prose(field.get("description", "")).partition("\\<")[0],
        )
        for name, field in flow.parameters.properties.items()
    ]
    paragraphs = "\n\n".join(prose(paragraph) for paragraph in about.split("\n\n"))
    return (
        f"\n## {flow.fn.__name__} {{#{flow.fn.__name__}}}\n\n{paragraphs}\n\n"
        f"```python\nfrom {module} import {flow.fn.__name__}\n```\n\n"
        + table(("parameter", "default", "meaning"), rows)
    )


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if value is None:
        return "none"
    # All sections with all their defaults are a page of their own.
    return "" if isinstance(value, dict) else code(str(value))
