import numpy as np
import numpy.typing as npt
import pytest

from unimol2_tasks.evaluation.baselines import fingerprint_baselines, mean_baseline
from unimol2_tasks.evaluation.metrics import classification_metrics, regression_metrics

Fingerprints = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def additive() -> tuple[Fingerprints, Labels]:
    """Fingerprints whose first ten bits add up to the label."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, size=(240, 64), dtype=np.uint8)
    return bits, bits[:, :10].sum(axis=1) + rng.normal(0, 0.2, 240)


def test_mean_of_the_labelled_rows() -> None:
    assert mean_baseline([1.0, float("nan"), 3.0], 4).tolist() == [2.0] * 4


def test_mean_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one labelled training row"):
        mean_baseline([float("nan")], 2)


def test_regression_baselines_beat_the_mean(additive: tuple[Fingerprints, Labels]) -> None:
    x, y = additive
    predictions = fingerprint_baselines(x[:180], y[:180], x[180:], "regression", seed=0)
    assert list(predictions) == ["fingerprint + ridge", "fingerprint + random forest"]
    mean_error = regression_metrics(y[180:], mean_baseline(y[:180], 60))["mae"]
    for prediction in predictions.values():
        assert regression_metrics(y[180:], prediction)["mae"] < 0.9 * mean_error


def test_binary_baselines_give_useful_probabilities(additive: tuple[Fingerprints, Labels]) -> None:
    x, y = additive
    label = (y > 5).astype(float)
    predictions = fingerprint_baselines(x[:180], label[:180], x[180:], "binary", seed=0)
    assert list(predictions) == ["fingerprint + logistic regression", "fingerprint + random forest"]
    for probability in predictions.values():
        assert classification_metrics(label[180:], probability)["roc_auc"] > 0.75


def test_rows_without_a_label_do_not_matter(additive: tuple[Fingerprints, Labels]) -> None:
    x, y = additive
    gaps = y[:180].copy()
    gaps[::3] = np.nan
    keep = ~np.isnan(gaps)
    with_gaps = fingerprint_baselines(x[:180], gaps, x[180:], "regression", seed=0)
    without = fingerprint_baselines(x[:180][keep], gaps[keep], x[180:], "regression", seed=0)
    for name, prediction in with_gaps.items():
        np.testing.assert_array_equal(prediction, without[name])


def test_predictions_do_not_depend_on_the_number_of_cores(additive: tuple[Fingerprints, Labels]) -> None:
    x, y = additive
    one = fingerprint_baselines(x[:180], y[:180], x[180:], "regression", seed=4, n_jobs=1)
    two = fingerprint_baselines(x[:180], y[:180], x[180:], "regression", seed=4, n_jobs=2)
    for name, prediction in one.items():
        np.testing.assert_array_equal(prediction, two[name])


@pytest.mark.parametrize(
    ("labels", "kind"), [([1.0, 1.0, 1.0], "binary"), ([2.0, np.nan, np.nan], "regression")]
)
def test_nothing_to_learn_from_gives_no_baseline(labels: list[float], kind: str) -> None:
    assert fingerprint_baselines(np.eye(3), labels, np.eye(3), kind, seed=0) == {}  # type: ignore[arg-type]


def test_misfits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"equal bits, got \(3, 3\) and \(2, 2\)"):
        fingerprint_baselines(np.eye(3), [1.0, 2.0, 3.0], np.eye(2), "regression", seed=0)
    with pytest.raises(ValueError, match=r"y_train must be \[3\]"):
        fingerprint_baselines(np.eye(3), [1.0, 2.0], np.eye(3), "regression", seed=0)
    with pytest.raises(ValueError, match="0 or 1"):
        fingerprint_baselines(np.eye(3), [1.0, 2.0, 0.0], np.eye(3), "binary", seed=0)
    with pytest.raises(ValueError, match="kind must be"):
        fingerprint_baselines(np.eye(3), [1.0, 2.0, 0.0], np.eye(3), "ranking", seed=0)  # type: ignore[arg-type]
