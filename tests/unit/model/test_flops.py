"""Counted operations against what PyTorch's own counter sees."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from small_networks import random_model, random_molecule
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from unimol2_model import ModelConfig, MoleculeBatch, UniMol2Backbone, UniMol2ForPretraining
from unimol2_model.flops import backbone_flops, forward_flops, training_flops

PRESETS = ["tiny", "84M", "1.1B"]


@contextmanager
def counted() -> Iterator[FlopCounterMode]:
    """Counts on a CPU; its fused attention is unknown to the counter."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


@pytest.mark.parametrize("size", PRESETS)
@pytest.mark.parametrize("atoms", [1, 23])
def test_the_backbones_count_is_pytorchs(size: str, atoms: int) -> None:
    with torch.device("meta"):
        backbone = UniMol2Backbone(ModelConfig.preset(size)).eval()
    batch = MoleculeBatch.collate([random_molecule(atoms, seed=0)] * 3).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone(batch)
    assert counter.get_total_flops() == 3 * backbone_flops(backbone.config, atoms)


@pytest.mark.parametrize("size", PRESETS)
@pytest.mark.parametrize("masked", [1, 4])
def test_the_heads_add_what_pytorch_counts_in_them(size: str, masked: int) -> None:
    n = 23
    with torch.device("meta"):
        model = UniMol2ForPretraining(ModelConfig.preset(size)).eval()
        dim, pair_dim = model.config.atom_dim, model.config.pair_dim
        atoms, pairs = torch.empty(1, n, dim), torch.empty(1, n, n, pair_dim)
        key_mask, differences = torch.empty(1, 1, 1, n), torch.empty(1, n, n, 3)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.position_head(atoms, pairs, key_mask, differences)
        model.atom_type_head(atoms[0, :masked])
    heads = forward_flops(model.config, n, masked) - backbone_flops(model.config, n)
    assert counter.get_total_flops() == heads


@pytest.mark.parametrize("settings", [{}, {"blocks": 3, "heads": 4, "pair_hidden_dim": 16, "ffn_dim": 32}])
@pytest.mark.parametrize("atoms", [2, 17])
def test_the_count_is_that_of_a_real_forward_pass(settings: dict[str, int], atoms: int) -> None:
    # The counter does not know oneDNN's products, which fp32 takes on a CPU.
    model = random_model(**settings).double()
    molecule = random_molecule(atoms, seed=1)
    with counted() as counter, torch.no_grad():
        model(MoleculeBatch.collate([molecule]))
    masked = int((molecule.tokens == 127).sum())
    assert counter.get_total_flops() == forward_flops(model.config, atoms, masked)


def test_a_molecules_own_length_counts_and_padding_only_when_it_is_asked_for() -> None:
    model = random_model().double()
    small, large = random_molecule(5, seed=0), random_molecule(9, seed=0)
    with counted() as counter, torch.no_grad():
        model.backbone(MoleculeBatch.collate([small, large]))
    assert counter.get_total_flops() == 2 * backbone_flops(model.config, 9)
    assert backbone_flops(model.config, 5) < backbone_flops(model.config, 9)


def test_a_training_step_takes_three_forward_passes_and_four_with_checkpointing() -> None:
    config = ModelConfig.preset("84M")
    forward = forward_flops(config, 25)
    assert training_flops(config, 25) == 3 * forward
    assert training_flops(config, 25, checkpoint_activations=True) == 4 * forward


def test_the_backward_pass_takes_two_forward_passes_besides_what_it_repeats() -> None:
    model = random_model(blocks=4, atom_dim=64, heads=4, ffn_dim=64, pair_dim=48).double().train()
    molecule = random_molecule(20, seed=0)
    with counted() as counter:
        torch.autograd.backward(model.loss(MoleculeBatch.collate([molecule])).total)
    masked = int((molecule.tokens == 127).sum())
    ratio = counter.get_total_flops() / forward_flops(model.config, 20, masked)
    assert 3.0 < ratio < 3.3
