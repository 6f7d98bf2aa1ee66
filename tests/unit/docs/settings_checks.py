"""Whether a block of YAML, JSON or TOML is what the program that reads it would accept."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

import yaml
from dvc.schema import COMPILED_MULTI_STAGE_SCHEMA

from unimol2_tasks.params import Params, parse_params

_OTHERS = frozenset({"apiVersion", "deployments", "pull", "services", "work_pools"})
"""Keys of files that Kubernetes, Prefect and Docker read; their own tests check those files."""


def check_settings(language: str, text: str) -> None:
    """Refuse settings that nobody would read.

    Raises:
        AssertionError: It is of no known kind.
        Exception: What its reader raises.
    """
    if language == "json":
        json.loads(text)
    elif language == "toml":
        tomllib.loads(text)
    else:
        for values in yaml.safe_load_all(text):
            _check_yaml(values)


def _check_yaml(values: Mapping[str, Any]) -> None:
    assert isinstance(values, Mapping), "expected a mapping at the top"
    if values.keys() & set(Params.model_fields):
        parse_params(dict(values), "the block")
    elif values.keys() & {"stages", "plots"}:
        COMPILED_MULTI_STAGE_SCHEMA(dict(values))
    else:
        assert values.keys() & _OTHERS, f"whose keys are {sorted(values)}?"
