"""Charts of predicted classes: ROC, precision and recall, reliability, confusion."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from unimol2_tasks.evaluation.calibration import calibration_error, reliability
from unimol2_tasks.evaluation.charts import ACCENT, INK, TEXT, Chart, axes, chart
from unimol2_tasks.evaluation.labels import FloatArray, IntArray
from unimol2_tasks.evaluation.ranking import average_precision, roc_auc
from unimol2_tasks.evaluation.scoretable import number

_MOST_CLASSES = 20


def roc(label: IntArray, probability: FloatArray) -> Chart:
    """True over false positive rate; `label` [n] holds both classes."""
    false_positive, true_positive, _ = roc_curve(label, probability)
    with axes() as ax:
        ax.plot((0, 1), (0, 1), color=INK, linewidth=1, linestyle="--")
        ax.fill_between(false_positive, true_positive, color=ACCENT, alpha=0.12, linewidth=0)
        ax.plot(false_positive, true_positive, color=ACCENT, linewidth=1.8)
        ax.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
        ax.set(xlabel="false positive rate", ylabel="true positive rate")
        caption = (
            f"{int(label.sum()):,} of {len(label):,} molecules are positive; area "
            f"{number(roc_auc(label == 1, probability))}, where 0.5 is chance."
        )
        return chart(ax, "ROC curve", caption)


def precision_recall(label: IntArray, probability: FloatArray) -> Chart:
    """Precision over recall; `label` [n] holds both classes."""
    precision, recall, _ = precision_recall_curve(label, probability)
    chance = float(label.mean())
    with axes() as ax:
        ax.plot((0, 1), (chance, chance), color=INK, linewidth=1, linestyle="--")
        ax.plot(recall, precision, color=ACCENT, linewidth=1.8, drawstyle="steps-post")
        ax.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal", xlabel="recall", ylabel="precision")
        caption = (
            f"Of the molecules called positive, the share that is; average "
            f"{number(average_precision(label == 1, probability))}, where {number(chance)} is chance."
        )
        return chart(ax, "Precision and recall", caption)


def reliability_diagram(probability: FloatArray, hit: FloatArray, outcome: str) -> Chart:
    """The share that came true over the predicted probability, [n] each, in equally filled bins."""
    promised, came_true, _ = reliability(probability, hit)
    with axes() as ax:
        ax.plot((0, 1), (0, 1), color=INK, linewidth=1, linestyle="--")
        ax.plot(promised, came_true, color=ACCENT, linewidth=1, alpha=0.5)
        ax.scatter(promised, came_true, s=42, color=ACCENT, alpha=0.85, linewidths=0, clip_on=False, zorder=3)
        ax.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
        ax.set(xlabel="predicted probability", ylabel=f"share that is {outcome}")
        caption = (
            "On the dashed line a probability means what it says; a dot is a group of molecules of similar "
            "probability, of at most ten. "
            f"Calibration error {number(calibration_error(probability, hit))}."
        )
        return chart(ax, "Reliability", caption)


def confusion(label: IntArray, probability: FloatArray) -> Chart:
    """Decided over true classes of `label` [n] and `probability` [n, K], shaded by the share of the class.

    Of many classes only those with most errors: a thousand would be a million boxes.
    """
    known = probability.shape[1]
    counts = confusion_matrix(label, probability.argmax(axis=1), labels=np.arange(known))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown = _most_confused(counts)
    classes = len(shown)
    counts, share = counts[np.ix_(shown, shown)], share[np.ix_(shown, shown)]
    caption = "Molecules by measured and predicted class; on the diagonal both agree."
    if classes < known:
        caption += (
            f" The {classes} of {known:,} classes that were mistaken most; other classes are not shown."
        )
    # In a cell of twenty there is room for four small digits.
    size = min(10, 110 / classes)
    with axes() as ax:
        for true in range(classes):
            for decided in range(classes):
                box = {"facecolor": ACCENT, "alpha": 0.45 * share[true, decided], "linewidth": 0}
                ax.axhspan(
                    true - 0.49, true + 0.49, (decided + 0.01) / classes, (decided + 0.99) / classes, **box
                )
                ax.text(
                    decided,
                    true,
                    f"{counts[true, decided]:,}",
                    ha="center",
                    va="center",
                    color=TEXT,
                    fontsize=size,
                )
        ax.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), aspect="equal")
        ax.set(
            xticks=range(classes),
            yticks=range(classes),
            xticklabels=shown,
            yticklabels=shown,
            xlabel="predicted class",
            ylabel="measured class",
        )
        ax.tick_params(labelsize=size)
        ax.grid(visible=False)
        return chart(ax, "Confusion", caption)


def _most_confused(counts: IntArray) -> IntArray:
    """The classes, in their order, with most molecules that were mistaken for others or others for them."""
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-wrong, kind="stable")[:_MOST_CLASSES])
