"""Whether the Python of a page would find what it imports, and call it with arguments that it takes."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def imported(tree: ast.Module) -> dict[str, Any]:
    """The objects that the code imports, by the names that it gives them.

    Raises:
        ImportError: A module is not there.
        AssertionError: A module does not have a name.
    """
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = import_module(alias.name)
                found[alias.asname or alias.name.partition(".")[0]] = (
                    module if alias.asname else import_module(alias.name.partition(".")[0])
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.asname or alias.name] = _member(node.module, alias.name)
    return found


def wrong_calls(tree: ast.Module, names: dict[str, Any]) -> Iterator[str]:
    """Calls of this project's functions with arguments that they do not take."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        target = _resolve(node.func, names)
        if target is None or not _is_ours(target):
            continue
        spread = any(isinstance(argument, ast.Starred) for argument in node.args)
        if spread or any(keyword.arg is None for keyword in node.keywords):
            continue
        try:
            signature = inspect.signature(getattr(target, "fn", target))
            signature.bind(*node.args, **{str(keyword.arg): keyword.value for keyword in node.keywords})
        except TypeError as error:
            yield f"line {node.lineno}: {ast.unparse(node.func)}: {error}"


def _member(module: str, name: str) -> Any:
    parent = import_module(module)
    if hasattr(parent, name):
        return getattr(parent, name)
    assert find_spec(f"{module}.{name}") is not None, f"{module} has no {name}"
    return import_module(f"{module}.{name}")


def _resolve(node: ast.expr, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _resolve(node.value, names)
        if owner is None:
            return None
        assert hasattr(owner, node.attr), f"line {node.lineno}: {ast.unparse(node)} is not there"
        return getattr(owner, node.attr)
    return None


def _is_ours(target: Any) -> bool:
    return callable(target) and str(getattr(target, "__module__", "")).startswith("unimol2_")
