"""What a validation is worth."""

import pytest

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import BestBy
from unimol2_tasks.training.judgement import judgement, measure

METRICS = {
    "valid/loss": 0.7,
    "valid/mae/solubility": 0.5,
    "valid/mae/clearance": 1.5,
    "valid/rmse/solubility": 0.8,
    "valid/roc_auc/toxic": 0.75,
    "valid/accuracy/toxic": 0.625,
}


@pytest.mark.parametrize(
    ("best_by", "worth", "name"),
    [
        ("loss", 0.7, "valid/loss"),
        ("mae", 1.0, "valid/mae"),
        ("rmse", 0.8, "valid/rmse"),
        ("roc_auc", 0.25, "1 - valid/roc_auc"),
        ("accuracy", 0.375, "1 - valid/accuracy"),
    ],
)
def test_lower_is_better_whatever_the_figure(best_by: BestBy, worth: float, name: str) -> None:
    assert judgement(METRICS, best_by) == worth
    assert measure(best_by) == name


def test_a_figure_that_no_label_has_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"best_by accuracy: .* give no label this figure"):
        judgement({"valid/loss": 0.7}, "accuracy")
