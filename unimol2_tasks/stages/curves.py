"""Learning curves of artifacts, for reports and for the scaling law."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.evaluation.contents import Curve
from unimol2_tasks.training.network import MEMBERS

_SHOWN = {"train/loss": "training", "valid/loss": "validation"}


def read_curve(folder: Path, metric: str) -> tuple[list[float], list[float]]:
    """Steps and values of one metric of a model's or predictor's `curve.csv`; empty where it has none."""
    with (folder / "curve.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get(metric)]
    return [float(row["step"]) for row in rows], [float(row[metric]) for row in rows]


def training_curves(artifacts: Mapping[str, LocalArtifact]) -> list[Curve]:
    """Training and validation loss of each artifact that was trained; of an ensemble, of its members."""
    return [curve for name, artifact in artifacts.items() for curve in _curves(name, artifact.path)]


def _curves(name: str, folder: Path) -> Iterator[Curve]:
    members = sorted((folder / MEMBERS).glob("*"))
    if not members:
        series = {label: read_curve(folder, metric) for metric, label in _SHOWN.items()}
        yield Curve(name, "optimiser step", "loss", series)
        return
    for metric, label in _SHOWN.items():
        series = {member.name: read_curve(member, metric) for member in members}
        yield Curve(f"{name}, {label}", "optimiser step", "loss", series)
