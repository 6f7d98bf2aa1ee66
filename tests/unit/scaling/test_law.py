import numpy as np
import pytest

from unimol2_tasks.scaling.law import ScalingLaw


@pytest.mark.parametrize(
    ("millions", "expected"), [(570, 0.0885), (570.233696, 0.0885), (1100, 0.0875), (1129.209696, 0.0875)]
)
def test_the_papers_constants_predict_its_large_models(millions: float, expected: float) -> None:
    """Uni-Mol2's law at 810,000 steps; nominal and counted sizes agree to the printed digit."""
    assert round(float(ScalingLaw.paper().predict(millions, 810_000)), 4) == expected


def test_sizes_broadcast_against_steps() -> None:
    losses = ScalingLaw.paper().predict(np.array([[42.0], [84.0]]), np.array([2e5, 4e5, 8e5]))
    assert losses.shape == (2, 3)
    assert np.all(np.diff(losses, axis=0) < 0)
    assert np.all(np.diff(losses, axis=1) < 0)


def test_zero_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="positive steps"):
        ScalingLaw.paper().predict(42, [0, 10])


def test_a_law_whose_loss_grows_with_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ScalingLaw\.b must be finite and not positive"):
        ScalingLaw(1.0, 0.1, 1.0, -0.2, 1.0, -1.0)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ScalingLaw\.c"):
        ScalingLaw(1.0, -0.1, -1.0, -0.2, 1.0, -1.0)
