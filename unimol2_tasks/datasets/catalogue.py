"""The catalogue of public data sets: what each is, where it comes from, and what its bytes must be."""

import difflib
import shlex
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from unimol2_tasks.errors import UserError
from unimol2_tasks.params import SplitKind

# Names become folders and files on disk.
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceFile(_Fact):
    """One upstream file."""

    urls: tuple[str, ...] = Field(min_length=1)
    """Where the same bytes are; tried in this order."""
    size: int = Field(gt=0)
    """Bytes."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    file: _Name | None = None
    """What to call it; none: the name in its first address."""

    @property
    def filename(self) -> str:
        """What it is called on disk."""
        return self.file or PurePosixPath(urlsplit(self.urls[0]).path).name


class Geometries(_Fact):
    """A published geometry of every molecule of a table: extended XYZ, one file per molecule."""

    url: str = Field(pattern=r"\{id\}")
    """Where the file of the molecule `{id}` is."""
    file: _Name
    """What all of them are called on disk, one after the other in the order of the table."""
    size: int = Field(gt=0)
    """Bytes of all."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of all."""


class Target(_Fact):
    """A column that is learned."""

    name: str
    unit: str = ""
    """Empty for classes."""
    task: Literal["regression", "binary"] = "regression"


class PublicDataset(_Fact):
    """A public data set as its publisher offers it."""

    name: _Name
    title: str
    source: str
    """Whose copy of the table this is."""
    version: str | None = None
    """Commit of the source, or the table's date there; none: only its hash tells."""
    licence: str
    """As the source states it."""
    doi: str
    """Of the article to cite."""
    rows: int = Field(gt=0)
    smiles_column: str | None = None
    """None: the geometries say which molecules they are."""
    id_column: str | None = None
    targets: tuple[Target, ...]
    """Empty: for pretraining only."""
    split: SplitKind
    """What recent work reports results on."""
    split_source: str
    split_similarity: float | None = None
    """Where the default would put nearly all molecules into one cluster."""
    table: SourceFile
    """What `unimol2 prepare` reads; with geometries: the SDF file that `datasets.xyz_table` makes of it."""
    geometries: Geometries | None = None
    """Where each molecule's published geometry is."""
    extras: tuple[SourceFile, ...] = ()
    """What belongs to it: published splits, lists of doubtful molecules."""

    @model_validator(mode="after")
    def _say_which_molecules(self) -> Self:
        if (self.smiles_column is None) != (self.geometries is not None):
            raise ValueError(f"{self.name}: give smiles_column or geometries")
        if self.geometries is not None and self.id_column is None:
            raise ValueError(f"{self.name}: geometries need id_column, by which their files are named")
        return self

    def prepare_command(self, table: Path) -> str:
        """The shell command that makes a dataset of the downloaded table, or of the SDF file made of it."""
        words = ["unimol2", "prepare", "--input", str(table)]
        if self.smiles_column is None:
            words += ["--set", "prepare.coordinates=keep"]
        else:
            words += ["--smiles-column", self.smiles_column]
        if self.id_column is not None:
            words += ["--id-column", self.id_column]
        labels = ",".join(target.name for target in self.targets) or "none"
        words += ["--label-columns", labels, "--set", f"prepare.split={self.split}"]
        if self.split_similarity is not None:
            words += ["--set", f"prepare.split_similarity={self.split_similarity}"]
        return shlex.join([*words, "--out", f"runs/{self.name}"])


@cache
def catalogue() -> tuple[PublicDataset, ...]:
    """All public data sets that are known here, in the order of the file."""
    text = files("unimol2_tasks.datasets").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[PublicDataset, ...]).validate_python(yaml.safe_load(text))


def find_dataset(name: str) -> PublicDataset:
    """The data set called `name`, in any case.

    Raises:
        UserError: There is none; the message names those that are alike.
    """
    known = {dataset.name: dataset for dataset in catalogue()}
    if name.lower() in known:
        return known[name.lower()]
    close = difflib.get_close_matches(name.lower(), known, n=3) or list(known)
    raise UserError(f"no public data set is called {name!r}; did you mean {', '.join(close)}?")
