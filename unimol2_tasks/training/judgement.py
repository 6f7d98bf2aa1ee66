"""What a validation is worth: one number, lower is better."""

from collections.abc import Mapping

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import BestBy

_HIGHER_IS_BETTER = frozenset({"roc_auc", "accuracy"})


def judgement(metrics: Mapping[str, float], best_by: BestBy) -> float:
    """The number by which validations, and trials of a search, are compared.

    Args:
        metrics: `valid/loss` and figures of labels as `valid/METRIC/NAME`.
        best_by: The loss, or one of the figures.

    Returns:
        The loss, the labels' mean error, or what their mean ROC AUC or accuracy lacks to 1; labels without
        the figure do not count.

    Raises:
        ParameterError: No label has the figure.
    """
    if best_by == "loss":
        return metrics["valid/loss"]
    values = [value for name, value in metrics.items() if name.startswith(f"valid/{best_by}/")]
    if not values:
        raise ParameterError(
            f"finetune.best_by {best_by}: the validation molecules give no label this figure. Errors are "
            "of numbers, accuracy is of classes, and roc_auc of two classes that both occur there; choose "
            "another, such as loss"
        )
    mean = sum(values) / len(values)
    return 1 - mean if best_by in _HIGHER_IS_BETTER else mean


def measure(best_by: BestBy) -> str:
    """What a judgement is called."""
    return f"1 - valid/{best_by}" if best_by in _HIGHER_IS_BETTER else f"valid/{best_by}"
