"""The files of a fitted law: `law.json`, `points.csv` and `replicas.csv`."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.scaling.points import CurvePoint
from unimol2_tasks.scaling.resampling import Replica, prediction_interval

LAW = "law.json"
POINTS = "points.csv"
REPLICAS = "replicas.csv"
Part = Literal["fit", "skipped", "held out", "test"]
"""Of the fit; of its models, but too early; of a held-out model; of one, and judged on."""


@dataclass(frozen=True, slots=True)
class PredictedPoint:
    """A measured loss beside the law's."""

    run: str
    millions: float
    steps: float
    loss: float
    """Measured."""
    part: Part
    predicted: float
    lower: float
    """Of the 95 % interval of a measurement; NaN where none was made."""
    upper: float


def write_fit(folder: Path, value: Mapping[str, Any]) -> None:
    """Write `law.json`."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    (folder / LAW).write_text(text + "\n", encoding="utf-8")


def read_fit(folder: Path) -> dict[str, Any]:
    """Everything that `law.json` says about a published fit."""
    value: dict[str, Any] = json.loads((folder / LAW).read_text(encoding="utf-8"))
    return value


def write_points(
    folder: Path, points: Sequence[tuple[Part, CurvePoint]], law: ScalingLaw, replicas: Sequence[Replica]
) -> None:
    """Write every measured loss with its part, its prediction and the interval of that."""
    with (folder / POINTS).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([field.name for field in fields(PredictedPoint)])
        for part, point in points:
            predicted = float(law.predict(point.millions, point.steps))
            ends = prediction_interval(replicas, point.millions, point.steps) if replicas else ("nan", "nan")
            writer.writerow((point.run, point.millions, point.steps, point.loss, part, predicted, *ends))


def read_points(folder: Path) -> list[PredictedPoint]:
    """The measured losses of a published fit, run by run, each by step."""
    texts = ("run", "part")
    with (folder / POINTS).open(newline="", encoding="utf-8") as stream:
        rows: list[dict[str, Any]] = [
            {name: text if name in texts else float(text) for name, text in row.items()}
            for row in csv.DictReader(stream)
        ]
    points = [PredictedPoint(**row) for row in rows]
    return sorted(points, key=lambda point: (point.millions, point.run, point.steps))


def write_replicas(folder: Path, replicas: Sequence[Replica]) -> None:
    """Write the refits behind the intervals."""
    with (folder / REPLICAS).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*"abcdef", "residual"])
        for replica in replicas:
            writer.writerow([*(getattr(replica.law, name) for name in "abcdef"), replica.residual])


def read_replicas(folder: Path) -> list[Replica]:
    """The refits of a published fit; none where none were made."""
    with (folder / REPLICAS).open(newline="", encoding="utf-8") as stream:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(stream)]
    return [Replica(residual=row.pop("residual"), law=ScalingLaw(**row)) for row in rows]
