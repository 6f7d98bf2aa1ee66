"""Which charts a target gets."""

from __future__ import annotations

import numpy as np

from unimol2_tasks.evaluation.charts import Chart
from unimol2_tasks.evaluation.class_plots import confusion, precision_recall, reliability_diagram, roc
from unimol2_tasks.evaluation.contents import TargetResult
from unimol2_tasks.evaluation.labels import binary_rows, class_rows, regression_rows
from unimol2_tasks.evaluation.metrics import losses
from unimol2_tasks.evaluation.regression_plots import errors, parity, residuals
from unimol2_tasks.evaluation.uncertainty_plots import coverage_chart, similarity_chart, spread_chart


def target_charts(target: TargetResult) -> list[Chart]:
    """Draw what suits the target's kind; nothing where no row has a label.

    Raises:
        ValueError: If labels and predictions do not fit together (see `labels.labelled_rows`).
    """
    if np.isnan(np.asarray(target.y_true, np.float64)).all():
        return []
    return [*_of_the_kind(target), *_of_the_uncertainty(target)]


def _of_the_kind(target: TargetResult) -> list[Chart]:
    if target.kind == "regression":
        true, pred = regression_rows(target.y_true, target.y_pred)
        return [
            parity(true, pred, target.unit, target.halfwidth, target.logarithmic),
            residuals(true, pred, target.unit, target.halfwidth, target.logarithmic),
            errors(pred - true, target.unit),
        ]
    if target.kind == "binary":
        label, probability = binary_rows(target.y_true, target.y_pred)
        ranked = [roc(label, probability), precision_recall(label, probability)] if np.ptp(label) else []
        return [*ranked, reliability_diagram(probability, label.astype(np.float64), "positive")]
    label, probabilities = class_rows(target.y_true, target.y_pred)
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == label).astype(np.float64)
    return [confusion(label, probabilities), reliability_diagram(confidence, right, "right")]


def _of_the_uncertainty(target: TargetResult) -> list[Chart]:
    charts = []
    off = losses(target.kind, target.y_true, target.y_pred)
    what = "mean absolute error" if target.kind == "regression" else "1 - probability of the right class"
    if any(np.isfinite(found.halfwidth) for found in target.coverage):
        charts.append(coverage_chart(target.coverage, target.unit, target.logarithmic))
    if target.spread is not None:
        charts.append(spread_chart(target.spread, off, target.unit, what))
    if target.similarity is not None:
        charts.append(similarity_chart(target.similarity, off, target.unit, what))
    return charts
