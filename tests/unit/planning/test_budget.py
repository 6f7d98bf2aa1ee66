"""The best size for a budget."""

from dataclasses import replace

import numpy as np
import pytest

from unimol2_model import ModelConfig
from unimol2_model.flops import training_flops
from unimol2_tasks.planning.budget import Budget, Candidate, plan_budget
from unimol2_tasks.planning.prediction import LawScope
from unimol2_tasks.planning.sizes import MoleculeSizes
from unimol2_tasks.scaling.law import ScalingLaw

SIZES = MoleculeSizes.assumed(25, 64, "assumed")
CANDIDATES = [
    Candidate.of(name, ModelConfig.preset(name), SIZES, False)
    for name in ("42M", "84M", "164M", "310M", "570M")
]
A100 = 312e12 * 0.3


def test_all_of_the_budget_is_spent() -> None:
    made = plan_budget(Budget(5000, A100, 1024), CANDIDATES, LawScope.paper())
    for one in made.spendings:
        assert one.steps * 1024 / one.rate / 3600 == pytest.approx(5000)
    smallest = made.spendings[0]
    assert smallest.rate == pytest.approx(A100 / training_flops(ModelConfig.preset("42M"), 25))
    assert smallest.loss == pytest.approx(
        float(ScalingLaw.paper().predict(smallest.millions, smallest.steps))
    )


def test_the_optimum_beats_every_candidate_and_grows_with_the_budget() -> None:
    best = []
    for hours in (500, 5000, 50_000):
        made = plan_budget(Budget(hours, A100, 1024), CANDIDATES, LawScope.paper())
        assert made.optimum.loss <= min(one.loss for one in made.spendings)
        assert made.optimum in made.spendings
        best.append(made.optimum.millions)
    assert best == sorted(best)


def test_the_optimum_of_operations_that_grow_like_the_size_is_the_formulas() -> None:
    """M^-½ + 10·S^-½ with M·S = P paid for is lowest at M = √P / 10."""
    law = ScalingLaw(1.0, -0.5, 10.0, -0.5, 0.0, 0.0)
    candidates = [Candidate(f"{m}M", int(m * 1e6), 1e6 * m) for m in (0.01, 0.1, 1.0, 10.0, 100.0)]
    scope = LawScope(law, "law", (0.01, 100.0), None, None)
    made = plan_budget(Budget(0.01, 1e9, 1), candidates, scope)
    paid = 36 * 1e9 / 1e6  # steps · M
    assert made.optimum.millions == pytest.approx(np.sqrt(paid) / 10, rel=1e-2)
    assert not made.at_end


def test_a_best_size_at_the_end_is_said() -> None:
    made = plan_budget(Budget(1e6, A100, 1024), CANDIDATES[:2], LawScope.paper())
    assert made.at_end
    assert made.optimum.name == "84M"


def test_outside_the_fit_is_said() -> None:
    made = plan_budget(Budget(5000, A100, 512), CANDIDATES, LawScope.paper())
    largest = made.spendings[-1]
    assert any(
        "570.2M parameters: the paper's law was fitted on 43.7M to 310.1M" in d for d in largest.doubts
    )
    assert any("batches of 512" in doubt for doubt in largest.doubts)


@pytest.mark.parametrize(
    ("budget", "candidates", "message"),
    [
        (Budget(5000, A100, 1024), CANDIDATES[:1], "at least 2 sizes"),
        (Budget(5000, A100, 1024), [CANDIDATES[0], replace(CANDIDATES[0], name="b")], "at least 2 sizes"),
        (Budget(5e-5, A100, 1024), CANDIDATES, "does not pay one step of the smallest network, 42M"),
    ],
)
def test_what_cannot_be_planned_is_refused(budget: Budget, candidates: list[Candidate], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_budget(budget, candidates, LawScope.paper())
