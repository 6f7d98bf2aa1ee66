"""What a report says: plain values, which `report.render_report` turns into a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from unimol2_tasks.evaluation.metrics import Interval, TargetKind


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The metrics of one method on one target."""

    method: str
    """What made the predictions, as a reader should see it."""
    metrics: Mapping[str, float]
    """Values by the names that `metrics.py` uses; an undefined metric is absent."""
    intervals: Mapping[str, Interval] | None = None
    """95 % intervals by metric name, where there are any."""
    is_baseline: bool = False
    """Whether the method is there for comparison only."""


@dataclass(frozen=True, slots=True, eq=False)
class TargetResult:
    """Labels, predictions and scores of one target."""

    name: str
    """Name of the label column."""
    unit: str
    """Unit of the values; empty where there is none."""
    kind: TargetKind
    """`regression` for values, `binary` for labels 0 and 1."""
    y_true: npt.ArrayLike
    """Labels, [n]; NaN where missing."""
    y_pred: npt.ArrayLike
    """The model's predictions, [n]; probabilities of label 1 where binary."""
    rows: Sequence[ScoreRow]
    """Scores of the model and of what it is compared with, in the order of the table."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One chart of lines, such as the losses of a training run."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]
    """x and y of each line by name, equally long; points that are not finite are left out."""


@dataclass(frozen=True, slots=True)
class WorstPrediction:
    """One molecule whose prediction is far off."""

    smiles: str
    drawing_svg: str
    """The molecule drawn as an SVG document; empty where it could not be drawn."""
    target: str
    """Name of the target that is far off."""
    y_true: float
    y_pred: float


@dataclass(frozen=True, slots=True)
class LineageStep:
    """One artifact that the evaluation rests on."""

    kind: str
    """What it is: dataset, model, predictor."""
    name: str
    """Its name or URI."""
    digest: str
    """Its content digest; empty where it has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything that one report shows; a section without content is left out of the page."""

    title: str
    summary: str
    """One or more sentences in plain words; line breaks are kept."""
    targets: Sequence[TargetResult] = ()
    curves: Sequence[Curve] = ()
    worst: Sequence[WorstPrediction] = ()
    """Worst first."""
    data_card: Mapping[str, str] = field(default_factory=dict)
    """Facts about the data: where from, how many, which split."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of the run, nested as in `params.yaml`."""
    lineage: Sequence[LineageStep] = ()
    """Artifacts from the first to the last."""
