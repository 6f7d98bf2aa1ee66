"""What a report says: plain values, which `report.render_report` turns into a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt

from unimol2_tasks.evaluation.groups import GroupTable
from unimol2_tasks.evaluation.labels import Interval, TargetKind
from unimol2_tasks.evaluation.uncertainty import Coverage

Role = Literal["model", "baseline", "published"]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The metrics of one method on one target."""

    method: str
    """What made the predictions, as a reader should see it."""
    metrics: Mapping[str, float]
    """Values by the names that `metrics.py` uses; an undefined metric is absent."""
    intervals: Mapping[str, Interval] | None = None
    """95 % intervals by metric name, where there are any."""
    role: Role = "model"
    """Whether it is judged, is there for comparison, or is a number that others printed."""
    note: str = ""
    """What a reader has to know about this row, such as another unit."""


@dataclass(frozen=True, slots=True)
class MemberScores:
    """One metric of every member of an ensemble."""

    mean: float
    std: float | None
    """Sample standard deviation (over n - 1); None for a single member."""
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TargetResult:
    """Labels, predictions and scores of one target on n molecules."""

    name: str
    """Name of the label column."""
    unit: str
    """Unit of the values; empty where there is none."""
    kind: TargetKind
    """`regression` for values, `binary` for labels 0 and 1, `multiclass` for labels 0 … K-1."""
    y_true: npt.ArrayLike
    """Labels, [n]; NaN where missing."""
    y_pred: npt.ArrayLike
    """The model's predictions, [n]; probabilities of label 1 where binary, [n, K] of each class."""
    rows: Sequence[ScoreRow]
    """Scores of the model and of what it is compared with, in the order of the table."""
    members: Mapping[str, MemberScores] = field(default_factory=dict)
    """Scores of the ensemble's members, each by itself, by metric."""
    coverage: Sequence[Coverage] = ()
    """How often the conformal intervals hold, by rising level; empty where there are none."""
    level: float = 0.9
    """The level whose interval is drawn."""
    logarithmic: bool = False
    """Whether the half-widths are those of the natural logarithm."""
    spread: npt.ArrayLike | None = None
    """[n] standard deviation over the ensemble's members; None for a single network."""
    similarity: npt.ArrayLike | None = None
    """[n] Tanimoto similarity to the nearest training molecule."""
    groups: Sequence[GroupTable] = ()
    """Scores of parts of the molecules."""

    @property
    def halfwidth(self) -> float | None:
        """Half the width of the intervals at `level`; None where there are none."""
        return next((found.halfwidth for found in self.coverage if found.level == self.level), None)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One chart of lines, such as the losses of a training run."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]
    """x and y of each line by name, equally long; points that are not finite are left out."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The training molecule that is most like another molecule."""

    name: str
    """Its id in the training data."""
    similarity: float
    """Tanimoto similarity of the Morgan fingerprints."""
    smiles: str = ""
    """Empty where the training data are not at hand."""
    drawing_svg: str = ""
    label: float = float("nan")
    """Its measured value; NaN where unknown."""


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
    """The predicted value or probability of label 1; of several classes the most probable one."""
    name: str = ""
    """Its id in the dataset."""
    interval: Interval | None = None
    """The conformal interval around the prediction."""
    spread: float | None = None
    """Standard deviation over the ensemble's members."""
    neighbour: Neighbour | None = None


@dataclass(frozen=True, slots=True)
class LineageStep:
    """One artifact that the evaluation rests on."""

    kind: str
    """What it is: dataset, model, predictor."""
    name: str
    """Its name or URI."""
    digest: str
    """Its content digest; empty where it has none."""
    made_from: Sequence[tuple[str, str]] = ()
    """What it was made from, and the digest of each; an empty digest where there is none."""
    code_version: str = ""
    """Of the release that made it; empty where unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything that one report shows; a section without content is left out of the page."""

    title: str
    summary: str
    """One or more sentences in plain words; line breaks are kept."""
    targets: Sequence[TargetResult] = ()
    curves: Sequence[Curve] = ()
    worst: Sequence[WorstPrediction] = ()
    """Target by target, worst first."""
    data_card: Mapping[str, str] = field(default_factory=dict)
    """Facts about the data: where from, how many, which split."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of the run, nested as in `params.yaml`."""
    lineage: Sequence[LineageStep] = ()
    """Artifacts from the first to the last."""
