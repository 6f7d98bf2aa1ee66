"""How good every method is on every target of the judged molecules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from unimol2_tasks import progress
from unimol2_tasks.evaluation.bootstrap import bootstrap_intervals
from unimol2_tasks.evaluation.contents import MemberScores, Role, ScoreRow, TargetResult
from unimol2_tasks.evaluation.groups import Grouping
from unimol2_tasks.evaluation.labels import Interval
from unimol2_tasks.evaluation.metrics import HEADLINE, METRICS, losses
from unimol2_tasks.evaluation.uncertainty import Coverage
from unimol2_tasks.params import EvaluateParams
from unimol2_tasks.stages.evaluation.asked import Array, Asked
from unimol2_tasks.stages.evaluation.fitted import Baselines
from unimol2_tasks.stages.evaluation.intervals import LEVEL, Calibration, calibration
from unimol2_tasks.stages.evaluation.judged import Judged
from unimol2_tasks.stages.evaluation.neighbours import Neighbours
from unimol2_tasks.stages.evaluation.parts import group_tables, groupings
from unimol2_tasks.stages.evaluation.printed import published_rows
from unimol2_tasks.stages.evaluation.units import unit_of
from unimol2_tasks.training.targets import Target


@dataclass(frozen=True)
class Scores:
    """Everything that is compared, and on what.

    Attributes:
        judged: The molecules.
        predictors: What they were predicted by; the first is the one that is judged.
        neighbours: Their nearest training molecules.
        params: What is asked for.
    """

    judged: Judged
    predictors: Mapping[str, Asked]
    neighbours: Neighbours
    params: EvaluateParams

    def results(self) -> list[TargetResult]:
        """Labels, predictions and scores of every target."""
        baselines = Baselines(self.judged, self.params.baselines, self.params.seed)
        targets = self.judged.targets.targets
        found = []
        for k, target in enumerate(targets):
            progress.report("evaluate", k, len(targets), target.name)
            found.append(self._result(target, baselines.of(target)))
        progress.report("evaluate", len(targets), len(targets))
        return found

    def _result(self, target: Target, baselines: Mapping[str, Array]) -> TargetResult:
        labels = self.labels(target)
        models = {name: self.predictions(name, target) for name in self.predictors}
        coverage = {name: self._coverage(name, target) for name in self.predictors}
        rows = [
            *(self._model_row(name, target, values, coverage[name]) for name, values in models.items()),
            *(self._row(name, target, values, "baseline") for name, values in baselines.items()),
        ]
        first = next(iter(models))
        compared = {first: models[first]} | _best(target, rows, baselines)
        spread = self._spread(first, target)
        unit = unit_of(target.name, self.params.units)
        return TargetResult(
            name=target.name,
            unit=unit,
            kind=target.kind,
            y_true=labels,
            y_pred=models[first],
            rows=[*rows, *published_rows(self.params.published, target, unit)],
            members=self._members(first, target),
            coverage=coverage[first],
            level=LEVEL,
            logarithmic=target.logarithmic,
            spread=spread,
            similarity=self.neighbours.similarity,
            groups=group_tables(
                self.judged, self.predictors[first], self._groupings, target, compared, self.params
            ),
        )

    @cached_property
    def _groupings(self) -> list[Grouping]:
        return groupings(self.judged, self.neighbours)

    def labels(self, target: Target) -> Array:
        """`[m]` measured values, NaN where there is none."""
        labels: Array = self.judged.labels[self.judged.indices, self.judged.targets.names.index(target.name)]
        return labels

    def predictions(self, name: str, target: Target) -> Array:
        """`[m]` of a predictor, or `[m, K]` of several classes."""
        return _own(self.predictors[name].values, target, self.judged)

    def interval(self, target: Target) -> tuple[Array, Array] | None:
        """`[m]` lower and upper ends of the judged predictor's intervals; None where there are none."""
        return self._interval(next(iter(self.predictors)), target)

    def _interval(self, name: str, target: Target) -> tuple[Array, Array] | None:
        found = self._calibrations[name]
        if found is None or target.kind != "regression":
            return None
        return found.interval(self._column(target), self.predictions(name, target), LEVEL)

    @cached_property
    def _calibrations(self) -> Mapping[str, Calibration | None]:
        return {name: calibration(asked.candidate, self.judged) for name, asked in self.predictors.items()}

    def _coverage(self, name: str, target: Target) -> list[Coverage]:
        found = self._calibrations[name]
        if found is None or target.kind != "regression":
            return []
        return found.coverage(self._column(target), self.labels(target), self.predictions(name, target))

    def _column(self, target: Target) -> int:
        return int(self.judged.targets.columns_of(target.name).start)

    def _spread(self, name: str, target: Target) -> Array | None:
        """`[m]` over the members; of several classes, of the most probable one."""
        spread = self.predictors[name].spread
        if spread is None:
            return None
        own = _own(spread, target, self.judged)
        if own.ndim == 1:
            return own
        chosen = self.predictions(name, target).argmax(axis=1)
        return np.asarray(own[np.arange(len(own)), chosen])

    def _model_row(self, name: str, target: Target, values: Array, coverage: list[Coverage]) -> ScoreRow:
        row = self._row(name, target, values, "model")
        metrics, intervals = dict(row.metrics), dict(row.intervals or {})
        at = next((found for found in coverage if found.level == LEVEL and found.n), None)
        interval = self._interval(name, target)
        if at is not None and interval is not None and np.isfinite(at.halfwidth):
            widths = (interval[1] - interval[0])[~np.isnan(self.labels(target))]
            metrics |= {"coverage_90": at.fraction, "interval_width_90": float(widths.mean())}
            intervals["coverage_90"] = at.interval
        spread = self._spread(name, target)
        if spread is not None:
            metrics |= dict(_of_the_spread(spread, losses(target.kind, self.labels(target), values)))
        return ScoreRow(name, metrics, intervals or None)

    def _row(self, name: str, target: Target, values: Array, role: Role) -> ScoreRow:
        measure, labels = METRICS[target.kind], self.labels(target)
        intervals: Mapping[str, Interval] | None = None
        if self.params.bootstrap:
            intervals = bootstrap_intervals(measure, labels, values, self.params.seed, self.params.bootstrap)
        return ScoreRow(name, measure(labels, values), intervals, role)

    def _members(self, name: str, target: Target) -> dict[str, MemberScores]:
        """The scores of every network by itself, on those judged molecules that it may be asked about."""
        measure, labels = METRICS[target.kind], self.labels(target)
        values: dict[str, list[float]] = {}
        for answers in self.predictors[name].members.values():
            own = _own(answers, target, self.judged)
            asked = ~np.isnan(own) if own.ndim == 1 else ~np.isnan(own).any(axis=1)
            for metric, value in measure(labels[asked], own[asked]).items():
                values.setdefault(metric, []).append(value)
        return {metric: _summary(found) for metric, found in values.items()}


def _own(values: Array, target: Target, judged: Judged) -> Array:
    """`[n, C]` of all molecules as `[m]` of the judged ones and one target, or `[m, K]` of its classes."""
    own = values[judged.indices, judged.targets.columns_of(target.name)]
    return own if target.kind == "multiclass" else own[:, 0]


def _summary(values: list[float]) -> MemberScores:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return MemberScores(float(np.mean(values)), std, tuple(values))


def _best(target: Target, rows: list[ScoreRow], baselines: Mapping[str, Array]) -> dict[str, Array]:
    """The baseline that leads, with its predictions; empty where none is defined."""
    metric = HEADLINE[target.kind]
    sign = 1 if target.kind == "regression" else -1
    known = [row for row in rows if row.role == "baseline" and metric in row.metrics]
    best = min(known, key=lambda row: sign * row.metrics[metric], default=None)
    return {} if best is None else {best.method: baselines[best.method]}


def _of_the_spread(spread: Array, off: Array) -> Iterator[tuple[str, float]]:
    known = ~np.isnan(off) & ~np.isnan(spread)
    if known.any():
        yield "spread", float(spread[known].mean())
    if known.sum() > 2 and np.ptp(spread[known]) > 0 and np.ptp(off[known]) > 0:
        yield "spread_spearman", float(stats.spearmanr(spread[known], off[known]).statistic)
