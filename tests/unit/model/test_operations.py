"""Counted operations against what PyTorch's own counter sees."""

import pytest
import torch
from small_networks import random_molecule
from torch.utils.flop_counter import FlopCounterMode

from unimol2_model import ModelConfig, MoleculeBatch, UniMol2Backbone
from unimol2_model.operations import forward_operations


@pytest.mark.parametrize("size", ["tiny", "84M", "1.1B"])
@pytest.mark.parametrize("atoms", [1, 23])
def test_the_count_is_pytorchs(size: str, atoms: int) -> None:
    with torch.device("meta"):
        backbone = UniMol2Backbone(ModelConfig.preset(size)).eval()
    batch = MoleculeBatch.collate([random_molecule(atoms, seed=0)] * 3).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone(batch)
    assert counter.get_total_flops() == 3 * forward_operations(backbone.config, atoms)
