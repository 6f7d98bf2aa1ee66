"""Decides by IAM's rules whether policies allow a request; of their language, what our policies use.

Sources: AWS Identity and Access Management User Guide, "Policy evaluation logic" and "Condition operators".
Whatever is not understood is an error, never a guess.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

_STATEMENT_KEYS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


@dataclass(frozen=True)
class Request:
    """What IAM sees of a call to S3."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys that the request has."""


def rendered(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """A policy file as Terraform's `templatefile` renders it; a variable without a value is an error."""
    policy: dict[str, Any] = json.loads(Template(path.read_text(encoding="utf-8")).substitute(variables))
    return policy


def allowed(policies: Iterable[Mapping[str, Any]], request: Request) -> bool:
    """Whether some statement allows the request and none denies it."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if _applies(statement, request)
    }
    return "Allow" in effects and "Deny" not in effects


def _applies(statement: Mapping[str, Any], request: Request) -> bool:
    unknown = statement.keys() - _STATEMENT_KEYS
    if unknown or statement.get("Principal", "*") != "*":
        raise NotImplementedError(f"{statement.get('Sid')}: {unknown or 'principals'} are not understood")
    return (
        any(_like(pattern.lower(), request.action.lower()) for pattern in _values(statement["Action"]))
        and any(_like(pattern, request.resource) for pattern in _values(statement["Resource"]))
        and all(
            _OPERATORS[operator](_found(request.context, key), _values(expected))
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def _found(context: Mapping[str, str], key: str) -> str | None:
    """Condition keys are compared without case."""
    return {name.lower(): value for name, value in context.items()}.get(key.lower())


def _values(element: str | list[str]) -> list[str]:
    return [element] if isinstance(element, str) else element


def _like(pattern: str, text: str) -> bool:
    """With `*` for any characters and `?` for any single one, `/` among them."""
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


# A key that the request does not have fails every operator but Null and the negated ones.
_OPERATORS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "Null": lambda found, expected: (found is None) == (expected == ["true"]),
    "Bool": lambda found, expected: found in expected,
    "StringEquals": lambda found, expected: found in expected,
    "StringLike": lambda found, expected: found is not None and any(_like(e, found) for e in expected),
    "ArnNotLike": lambda found, expected: found is None or not any(_like(e, found) for e in expected),
    "NumericLessThan": lambda found, expected: found is not None and float(found) < float(expected[0]),
}
