import numpy as np
import numpy.typing as npt
import pytest

from unimol2_tasks.evaluation.baselines import (
    BaselineTask,
    descriptor_baselines,
    fingerprint_baselines,
    mean_baseline,
)
from unimol2_tasks.evaluation.labels import TargetKind
from unimol2_tasks.evaluation.metrics import (
    classification_metrics,
    multiclass_metrics,
    regression_metrics,
)

Fingerprints = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.float64]
VALUE, CLASS = BaselineTask("regression"), BaselineTask("binary")


@pytest.fixture(scope="module")
def additive() -> tuple[Fingerprints, Labels]:
    """Fingerprints whose first ten bits add up to the label."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, size=(240, 64), dtype=np.uint8)
    return bits, bits[:, :10].sum(axis=1) + rng.normal(0, 0.2, 240)


def test_mean_of_the_labelled_rows() -> None:
    assert mean_baseline([1.0, float("nan"), 3.0], 4, VALUE).tolist() == [2.0] * 4


def test_mean_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one labelled training row"):
        mean_baseline([float("nan")], 2, VALUE)


def test_regression_baselines_beat_the_mean(additive: tuple[Fingerprints, Labels]) -> None:
    x, y = additive
    predictions = fingerprint_baselines(x[:180], y[:180], x[180:], VALUE)
    assert list(predictions) == ["fingerprint + ridge", "fingerprint + random forest"]
    mean_error = regression_metrics(y[180:], mean_baseline(y[:180], 60, VALUE))["mae"]
    for prediction in predictions.values():
        assert regression_metrics(y[180:], prediction)["mae"] < 0.9 * mean_error


def test_binary_baselines_give_useful_probabilities(additive: tuple[Fingerprints, Labels]) -> None:
    x, y = additive
    label = (y > 5).astype(float)
    predictions = fingerprint_baselines(x[:180], label[:180], x[180:], CLASS)
    assert list(predictions) == ["fingerprint + logistic regression", "fingerprint + random forest"]
    for probability in predictions.values():
        assert classification_metrics(label[180:], probability)["roc_auc"] > 0.75


def test_rows_without_a_label_do_not_matter(additive: tuple[Fingerprints, Labels]) -> None:
    x, y = additive
    gaps = y[:180].copy()
    gaps[::3] = np.nan
    keep = ~np.isnan(gaps)
    with_gaps = fingerprint_baselines(x[:180], gaps, x[180:], VALUE)
    without = fingerprint_baselines(x[:180][keep], gaps[keep], x[180:], VALUE)
    for name, prediction in with_gaps.items():
        np.testing.assert_array_equal(prediction, without[name])


def test_predictions_do_not_depend_on_the_number_of_cores(additive: tuple[Fingerprints, Labels]) -> None:
    x, y = additive
    one = fingerprint_baselines(x[:180], y[:180], x[180:], BaselineTask("regression", seed=4, n_jobs=1))
    two = fingerprint_baselines(x[:180], y[:180], x[180:], BaselineTask("regression", seed=4, n_jobs=2))
    for name, prediction in one.items():
        np.testing.assert_array_equal(prediction, two[name])


@pytest.mark.parametrize(
    ("labels", "kind"), [([1.0, 1.0, 1.0], "binary"), ([2.0, np.nan, np.nan], "regression")]
)
def test_nothing_to_learn_from_gives_no_baseline(labels: list[float], kind: TargetKind) -> None:
    assert fingerprint_baselines(np.eye(3), labels, np.eye(3), BaselineTask(kind)) == {}


def test_misfits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"equal n, got \(3, 3\) and \(2, 2\)"):
        fingerprint_baselines(np.eye(3), [1.0, 2.0, 3.0], np.eye(2), VALUE)
    with pytest.raises(ValueError, match=r"y_train must be \[3\]"):
        fingerprint_baselines(np.eye(3), [1.0, 2.0], np.eye(3), VALUE)
    with pytest.raises(ValueError, match="0 or 1"):
        fingerprint_baselines(np.eye(3), [1.0, 2.0, 0.0], np.eye(3), CLASS)


def test_boosting_on_descriptors_learns_a_threshold_and_lives_with_missing_values() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 6))
    y = np.where(x[:, 0] > 0, 2.0, -2.0) + rng.normal(0, 0.1, 300)
    x[::7, 1] = np.nan
    found = descriptor_baselines(x[:200], y[:200], x[200:], VALUE)
    assert list(found) == ["descriptors + gradient boosting"]
    assert regression_metrics(y[200:], found["descriptors + gradient boosting"])["mae"] < 0.3


def test_baselines_of_several_classes_give_every_class_a_probability(
    additive: tuple[Fingerprints, Labels],
) -> None:
    x, y = additive
    label = np.digitize(y, [4.0, 6.0]).astype(float)
    task = BaselineTask("multiclass", classes=4)
    found = {
        **fingerprint_baselines(x[:180], label[:180], x[180:], task),
        **descriptor_baselines(x[:180], label[:180], x[180:], task),
    }
    assert len(found) == 3
    chance = multiclass_metrics(label[180:], mean_baseline(label[:180], 60, task))
    for probability in found.values():
        assert probability.shape == (60, 4)
        # No training molecule is of class 3.
        assert np.all(probability[:, 3] == 0)
        assert multiclass_metrics(label[180:], probability)["log_loss"] < chance["log_loss"]


def test_without_anything_known_the_shares_of_the_classes_are_predicted() -> None:
    task = BaselineTask("multiclass", classes=3)
    np.testing.assert_allclose(mean_baseline([0, 0, 1, np.nan], 2, task), [[2 / 3, 1 / 3, 0]] * 2)
