"""Where the parts of a benchmark are."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from unimol2_tasks.artifacts.manifest import MANIFEST, Manifest, read_manifest

Start = Literal["pretrained", "scratch"]
"""Where a network starts from."""


@dataclass(frozen=True, slots=True)
class Places:
    """The parts of one benchmark below a folder of several."""

    out: Path
    benchmark: str

    @property
    def folder(self) -> Path:
        """All of it."""
        return self.out / self.benchmark

    @property
    def tables(self) -> Path:
        """What the datasets are prepared from."""
        return self.folder / "tables"

    def table(self, name: str) -> Path:
        """A table without its suffix; `NAME.json` says what it is."""
        return self.tables / name

    def facts(self, name: str) -> Path:
        """What a table is: rows of the source, rows taken, rows rejected."""
        return self.tables / f"{name}.json"

    def dataset(self, name: str) -> Path:
        """A prepared table."""
        return self.folder / "datasets" / name

    def predictor(self, task: str, start: Start) -> Path:
        """What fine-tuning made."""
        return self.folder / task / start

    def member(self, task: str, start: Start, name: str) -> Path:
        """One training of those that a predictor was joined from."""
        return self.folder / task / f"{start}-members" / name

    def report(self, task: str, start: Start) -> Path:
        """Its evaluation."""
        return self.folder / task / f"{start}-report"

    def want(self, starts: Sequence[Start]) -> None:
        """Note from where networks are to be trained, beside what was noted before."""
        wanted = [start for start in get_args(Start) if start in {*starts, *self.wanted_starts()}]
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._wanted, json.dumps({"starts": wanted}) + "\n")

    def wanted_starts(self) -> list[Start]:
        """From where networks are trained, the pretrained first."""
        if not self._wanted.is_file():
            return []
        starts: list[Start] = json.loads(self._wanted.read_text(encoding="utf-8"))["starts"]
        return starts

    @property
    def _wanted(self) -> Path:
        return self.folder / "wanted.json"


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step, so that whoever reads it meanwhile finds the old text or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_if_there(folder: Path) -> Manifest | None:
    """The manifest of an artifact, None where there is none yet.

    Raises:
        ArtifactError: It is damaged.
    """
    path = folder / MANIFEST
    return read_manifest(path.read_bytes(), str(path)) if path.is_file() else None


def training_seconds(task: str, start: Start, places: Places, predictor: Manifest) -> dict[str, float | None]:
    """How long each training of a predictor took, by its seed, in the order in which members are judged."""
    members = sorted(predictor.params.get("members", {}))
    if not members:
        return {str(predictor.params["finetune"]["seed"]): predictor.run.get("seconds")}
    trained = {name: read_if_there(places.member(task, start, name)) for name in members}
    return {
        name.removeprefix("seed-"): None if manifest is None else manifest.run.get("seconds")
        for name, manifest in trained.items()
    }
