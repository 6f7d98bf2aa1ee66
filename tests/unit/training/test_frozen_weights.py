"""A backbone that nothing trains is published as it was, however it was computed with."""

import torch

from unimol2_model import ModelConfig, UniMol2ForProperties
from unimol2_tasks.training.engine import frozen_weights

CONFIG = ModelConfig(blocks=1, atom_dim=16, heads=1, ffn_dim=8, pair_dim=8, pair_hidden_dim=4)


def test_what_is_frozen_survives_an_engine_in_half_precision() -> None:
    network = UniMol2ForProperties(CONFIG, outputs=1)
    network.freeze_backbone()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    exact = frozen_weights(network)
    network.to(torch.bfloat16)
    published = {name: weight.float() for name, weight in network.state_dict().items()} | exact
    assert published.keys() == before.keys()
    for name, weight in published.items():
        assert torch.equal(weight, before[name]) or name.startswith("head."), name


def test_nothing_is_kept_of_what_is_trained() -> None:
    assert frozen_weights(UniMol2ForProperties(CONFIG, outputs=1)) == {}
