"""Which step an epoch begins with, where an epoch is no whole number of steps."""

import pytest

from unimol2_model import ModelConfig, UniMol2ForProperties
from unimol2_tasks.params import FinetuneParams
from unimol2_tasks.training.finetune import plan_of
from unimol2_tasks.training.layer_groups import layer_groups

CONFIG = ModelConfig(blocks=2, atom_dim=16, heads=1, ffn_dim=8, pair_dim=8, pair_hidden_dim=4)


@pytest.mark.parametrize(
    ("molecules", "steps", "validate_every"), [(48, 150, 3), (8, 25, 1), (1, 3, 1), (320, 1000, 20)]
)
def test_the_molecules_are_seen_as_often_as_asked_for(
    molecules: int, steps: int, validate_every: int
) -> None:
    plan = plan_of(FinetuneParams(epochs=100, validate_every_epochs=2, patience=4), molecules / 32)
    assert (plan.steps, plan.validate_every, plan.patience) == (steps, validate_every, 4)


def test_every_plan_has_a_step() -> None:
    plan = plan_of(FinetuneParams(epochs=1), 1 / 32)
    assert (plan.steps, plan.validate_every) == (1, 1)


def test_stages_begin_with_their_epochs() -> None:
    network = UniMol2ForProperties(CONFIG, outputs=1)
    groups = layer_groups(network, FinetuneParams(epochs=30, unfreeze_epochs=5), 1.3)
    assert sorted(group.start for group in groups) == [0, 6, 13]
