"""Parameters of the search for hyper-parameters: which values, how many trials, who proposes."""

import difflib
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from unimol2_tasks.params.finetuning import FinetuneParams
from unimol2_tasks.params.section import Section

Choice = bool | int | float | str | None
"""A value of one parameter."""

NOT_COMPARABLE = frozenset(
    {
        # Which molecules are learnt and judged.
        "seed",
        "seeds",
        "fold",
        "cross_validate",
        # What is learnt, and how far off counts as how bad.
        "targets",
        "task",
        "scaling",
        "regression_loss",
        "classification_loss",
        "focal_gamma",
        "class_weights",
        "best_by",
    }
)
"""Keys of `finetune` with which validations measure something else."""


_ROUNDING = 1e-6


class Range(Section):
    """Numbers from `low` to `high`, both included."""

    low: float = Field(description="Lowest value.")
    high: float = Field(description="Highest value.")
    log: bool = Field(False, description="Draw from equal ratios instead of equal differences.")
    step: float | None = Field(None, gt=0, description="Distance of neighbouring values; none: any value.")

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low {self.low:g} has to be below high {self.high:g}, and both finite")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has to be above 0 where log is true")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        steps = 0.0 if self.step is None else (self.high - self.low) / self.step
        if abs(steps - round(steps)) > _ROUNDING:
            raise ValueError(
                f"from low {self.low:g} to high {self.high:g} is no multiple of step {self.step:g}"
            )
        return self


Dimension = Range | tuple[Choice, ...]
"""The values of one parameter: a range or a list of choices."""

PAPER_GRID: Mapping[str, tuple[Choice, ...]] = {
    "learning_rate": (4e-5, 6e-5, 1e-4, 2e-4, 3e-4, 4e-4),
    "batch_size": (32, 64, 128),
    "epochs": (40, 60, 80, 100, 200, 300),
    "head_dropout": (0.0, 0.1),
    "warmup_ratio": (0.0, 0.06, 0.1),
}
"""Uni-Mol2, table 9."""


class SearchParams(Section):
    """The search for hyper-parameters of fine-tuning; `finetune.best_by` says which is best."""

    sampler: Literal["grid", "random", "tpe"] = Field(
        "grid",
        description="grid: every combination of choices, in a random order; random; tpe: where earlier "
        "trials were good (tree-structured Parzen estimator).",
    )
    trials: int = Field(20, ge=1, description="Trials at most; a grid with fewer combinations ends earlier.")
    parallel: int = Field(
        1, ge=1, description="Trials at the same time; tpe proposes so many before it learns their results."
    )
    seed: int = Field(0, ge=0, description="Seeds the proposals.")
    seeds: tuple[int, ...] = Field(
        (),
        description="Seeds of every trial, whose validations are averaged; empty: as finetune says.",
    )
    space: dict[str, Dimension] = Field(
        dict(PAPER_GRID),
        description="Keys of finetune, each with a list of choices or {low, high, log, step}; "
        "default: the paper's grid.",
    )

    @field_validator("space", mode="before")
    @classmethod
    def _read_space(cls, space: Any) -> dict[str, Dimension]:
        if not isinstance(space, Mapping) or not space:
            raise ValueError("expected keys of finetune, each with a list of choices or {low, high}")
        return {str(key): _dimension(str(key), values) for key, values in space.items()}

    @model_validator(mode="after")
    def _grid_has_choices(self) -> Self:
        ranges = [key for key, values in self.space.items() if isinstance(values, Range)]
        if self.sampler == "grid" and ranges:
            raise ValueError(
                f"a grid needs lists of choices, and {', '.join(ranges)} is a range; list its values"
            )
        return self

    @property
    def combinations(self) -> int | None:
        """How many different trials there are; None where a range has too many to count."""
        if any(isinstance(values, Range) for values in self.space.values()):
            return None
        return math.prod(len(values) for values in self.space.values() if isinstance(values, tuple))


def is_whole(key: str) -> bool:
    """Whether a key of `finetune` takes whole numbers only."""
    return float not in _types(key)


def _dimension(key: str, values: Any) -> Dimension:
    known = [name for name in FinetuneParams.model_fields if name not in NOT_COMPARABLE]
    if key in NOT_COMPARABLE:
        raise ValueError(
            f"{key}: with another value of it validations cannot be compared; set finetune.{key}"
        )
    if key not in known:
        close = difflib.get_close_matches(key, known, n=1)
        raise ValueError(
            f"{key}: no key of finetune; "
            + (f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}")
        )
    if isinstance(values, Range | Mapping):
        return _range(key, values)
    if isinstance(values, str) or not isinstance(values, list | tuple) or not values:
        raise ValueError(f"{key}: expected a list of choices or {{low, high}}, got {values!r:.80}")
    choices = tuple(_value(key, value) for value in values)
    if len(set(choices)) < len(choices):
        raise ValueError(f"{key}: a choice is there twice: {list(choices)}")
    return choices


def _range(key: str, values: Range | Mapping[str, Any]) -> Range:
    if not {int, float} & _types(key):
        raise ValueError(f"{key}: takes no numbers; list its choices")
    try:
        found = Range.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join([key, *(str(part) for part in problem["loc"])])
        raise ValueError(f"{where}: {problem['msg'].removeprefix('Value error, ')}") from None
    for edge in (found.low, found.high, *(() if found.step is None or not is_whole(key) else (found.step,))):
        _value(key, edge)
    return found


def _value(key: str, value: Any) -> Choice:
    """The value as `finetune` reads it; its bounds are those of the key."""
    field = FinetuneParams.model_fields[key]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
        read = adapter.validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{key}: {error.errors()[0]['msg']}, got {value!r:.80}") from None
    if not isinstance(read, Choice):
        raise ValueError(f"{key}: its values are no single numbers or words, and cannot be searched")
    return read


def _types(key: str) -> set[Any]:
    annotation = FinetuneParams.model_fields[key].annotation
    return {annotation, *get_args(annotation)}
