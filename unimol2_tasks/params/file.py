"""`params.yaml` and `--set`, read into typed models: what is refused is refused by name."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params.finetuning import FinetuneParams
from unimol2_tasks.params.inference import EvaluateParams, PredictParams
from unimol2_tasks.params.launch import LaunchParams, SupervisionParams
from unimol2_tasks.params.prepare import PrepareParams
from unimol2_tasks.params.search import SearchParams
from unimol2_tasks.params.section import Section
from unimol2_tasks.params.study import StudyParams
from unimol2_tasks.params.training import ModelParams, PretrainParams


class Params(Section):
    """The whole of `params.yaml`."""

    prepare: PrepareParams = PrepareParams()
    model: ModelParams = ModelParams()
    pretrain: PretrainParams = PretrainParams()
    finetune: FinetuneParams = FinetuneParams()
    search: SearchParams = SearchParams()
    evaluate: EvaluateParams = EvaluateParams()
    predict: PredictParams = PredictParams()
    supervision: SupervisionParams = SupervisionParams()
    launch: LaunchParams = LaunchParams()
    study: StudyParams = StudyParams()


def load_params(path: Path | None = None, assignments: Sequence[str] = ()) -> Params:
    """Read parameters.

    Args:
        path: A YAML file; none: `params.yaml` of the working folder if it is there, else the defaults.
        assignments: `section.key=value` each, applied on top of the file.

    Raises:
        ParameterError: The file cannot be read, or a key or value is refused; names file and key.
    """
    file = path or Path("params.yaml")
    values: dict[str, Any] = {}
    sources = []
    if path is not None or file.is_file():
        values = _read_yaml(file)
        sources.append(str(file))
    for assignment in assignments:
        _assign(values, assignment)
    if assignments:
        sources.append("--set")
    return parse_params(values, " with ".join(sources) or "parameters")


def parse_params(values: dict[str, Any], source: str = "parameters") -> Params:
    """Turn plain values into parameters, or name every refused key.

    Raises:
        ParameterError: A key is unknown or a value impossible.
    """
    # A section without a key is None in YAML, and means its defaults.
    given = {section: {} if content is None else content for section, content in values.items()}
    try:
        return Params.model_validate(given)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ParameterError(f"{source}: " + "; ".join(lines)) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"{path}: no such parameter file; give --params FILE") from None
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: not a YAML file: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ParameterError(
            f"{path}: expected sections ({', '.join(Params.model_fields)}), got a {type(values).__name__}"
        )
    return values


def _assign(values: dict[str, Any], assignment: str) -> None:
    path, separator, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise ParameterError(f"--set {assignment}: expected section.key=value")
    for key in keys[:-1]:
        if values.get(key) is None:
            values[key] = {}
        inner = values[key]
        if not isinstance(inner, dict):
            raise ParameterError(f"--set {assignment}: {key} is a value, not a section")
        values = inner
    try:
        values[keys[-1]] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ParameterError(f"--set {assignment}: cannot read the value {text!r}") from None


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location) or "(all)"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}"
    if problem["type"] != "extra_forbidden":
        return f"{key}: {problem['msg']}, got {problem['input']!r:.80}"
    known = _known_keys(location[:-1])
    close = difflib.get_close_matches(location[-1], known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"{key}: unknown key; {hint}"


def _known_keys(location: Sequence[str]) -> list[str]:
    model: Any = Params
    for part in location:
        # A place in a list has the type of the list's items.
        model = get_args(model)[0] if part.isdigit() else model.model_fields[part].annotation
    return list(model.model_fields)
