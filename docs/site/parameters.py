"""The keys of `params.yaml`, and the settings of the plugin, as their typed models describe them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.site.markdown import code, prose, table
from unimol2_tasks.params import Params, Section
from unimol2_tasks.settings import Unimol2Settings

_WORDS: Mapping[Any, str] = {
    int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", NoneType: "none",
    Any: "anything",
}  # fmt: skip
_BOUNDS = (
    (annotated_types.Ge, "ge", "≥"),
    (annotated_types.Gt, "gt", ">"),
    (annotated_types.Le, "le", "≤"),
    (annotated_types.Lt, "lt", "<"),
)


def parameters_page() -> str:
    """The page about `params.yaml`: a chapter for each section, a table for each model."""
    text = (
        "# Parameters\n\n"
        "Sections and keys of `params.yaml`, of `--params FILE` and of `--set SECTION.KEY=VALUE`. A "
        "file may hold just what differs from the defaults. Unknown keys and impossible values are refused "
        "by name.\n"
    )
    return text + "".join(_chapter(name, model, 2) for name, model in _models(Params))


def settings_page() -> str:
    """The page about the settings of the Prefect plugin."""
    text = (
        "# Settings\n\n"
        "Where and how work is done, never what comes out. Each is read as Prefect's own settings are: from "
        "the environment as `PREFECT_INTEGRATIONS_UNIMOL2_NAME`, from `.env`, from the table "
        "`integrations.unimol2` of `prefect.toml`, or from the active profile.\n\n"
    )
    return text + _fields(Unimol2Settings)


def _chapter(name: str, model: type[BaseModel], level: int) -> str:
    title = f"{'#' * level} {name} {{#{_anchor(name)}}}"
    about = prose((model.__doc__ or "").strip())
    inner = (_chapter(f"{name}.{key}", found, 3) for key, found in _models(model) if not _has_chapter(found))
    return f"\n{title}\n\n{about}\n\n{_fields(model, name)}" + "".join(inner)


def _models(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The fields that hold sections, and those sections' models."""
    for name, field in model.model_fields.items():
        for found in _sections_of(field.annotation):
            yield name, found


def _sections_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_of(argument)


def _has_chapter(model: type[BaseModel]) -> bool:
    return any(model is field.annotation for field in Params.model_fields.values())


def _fields(model: type[BaseModel], section: str = "") -> str:
    rows = [
        (
            code(name),
            _type(field.annotation, f"{section}.{name}"),
            _default(field),
            _range(field),
            prose(field.description or ""),
        )
        for name, field in model.model_fields.items()
    ]
    return table(("key", "value", "default", "range", "meaning"), rows)


def _type(annotation: Any, path: str) -> str:
    """What a person may write there."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], path)
    if origin is Literal:
        return ", ".join(code(str(choice)) for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type(argument, path) for argument in arguments)
    if origin is tuple:
        kinds = [_type(argument, path) for argument in arguments if argument is not Ellipsis]
        return f"list of {kinds[0]}" if len(set(kinds)) == 1 else f"list: {', '.join(kinds)}"
    if origin is dict:
        return f"mapping to {_type(arguments[1], path)}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        name = next((key for key, model in _models(Params) if model is annotation), path)
        return f"[{name}](#{_anchor(name)})"
    return _WORDS.get(annotation, "address" if "Url" in str(annotation) else str(annotation))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return ""
    # As it would stand in the file, on one line.
    text = yaml.safe_dump(
        _plain(value), default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False
    )
    return code(re.sub(r"\n\.\.\.$", "", text.strip()))


def _plain(value: Any) -> Any:
    """The value as YAML has it: lists, mappings, numbers and text."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _range(field: FieldInfo) -> str:
    found = [
        f"{sign} {getattr(constraint, attribute):,}"
        for kind, attribute, sign in _BOUNDS
        for constraint in field.metadata
        if isinstance(constraint, kind)
    ]
    return ", ".join(found).replace("<", "&lt;")


def _anchor(name: str) -> str:
    return name.replace(".", "-").replace("_", "-")
