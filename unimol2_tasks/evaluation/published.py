"""What others published on the benchmarks: printed values, to set ours beside, never mixed with them."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """One printed number."""

    benchmark: str
    target: str
    """Column of the benchmark."""
    labels: tuple[str, ...]
    """Of the data set; of several, such as homo, lumo and gap, the number is the mean."""
    condition: str
    """Under which only this column holds; mostly empty."""
    method: str
    metric: str
    printed: str
    unit: str
    paper: str
    table: int | None
    """Its number in the paper; none where it is not known here."""
    split: str
    """What the paper says of it."""

    @property
    def value(self) -> float:
        """The printed number."""
        return float(self.printed)

    @property
    def source(self) -> str:
        """Where it was printed, short."""
        return "published" if self.table is None else f"published, Table {self.table}"


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Column(_Fact):
    target: str
    unit: str
    labels: tuple[str, ...] = Field(min_length=1)
    condition: str = ""


class PublishedTable(_Fact):
    """One table of a paper."""

    benchmark: str
    paper: str
    table: int | None = None
    metric: str
    split: str
    columns: tuple[_Column, ...]
    methods: dict[str, str]
    """Printed values by method, in the order of the columns, with spaces between them."""
    missing: str = ""
    """What is known to be in the paper and not here, and why."""

    @model_validator(mode="after")
    def _every_row_is_full(self) -> Self:
        for method, values in self.methods.items():
            found = len(values.split())
            if found != len(self.columns):
                raise ValueError(f"{self.benchmark}, {method}: {found} values, {len(self.columns)} columns")
        return self

    def scores(self) -> list[PublishedScore]:
        """Its numbers, row by row."""
        return [
            PublishedScore(
                benchmark=self.benchmark,
                target=column.target,
                labels=column.labels,
                condition=column.condition,
                method=method,
                metric=self.metric,
                printed=value,
                unit=column.unit,
                paper=self.paper,
                table=self.table,
                split=self.split,
            )
            for method, values in self.methods.items()
            for column, value in zip(self.columns, values.split(), strict=True)
        ]


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """All tables that are known here."""
    text = files("unimol2_tasks.evaluation").joinpath("published.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[PublishedTable, ...]).validate_python(yaml.safe_load(text))


def published(benchmark: str, target: str | None = None) -> list[PublishedScore]:
    """The printed values of a benchmark, in the order of the paper.

    Args:
        benchmark: `qm9`, `compas-1d`, …
        target: Only this column; none: all.
    """
    return [
        score
        for table in published_tables()
        if table.benchmark == benchmark
        for score in table.scores()
        if target is None or score.target == target
    ]


def missing_from(benchmark: str) -> list[str]:
    """What papers print of a benchmark that is not known here."""
    return [
        f"{table.paper}: {table.missing}"
        for table in published_tables()
        if table.benchmark == benchmark and table.missing
    ]
