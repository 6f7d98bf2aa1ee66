"""The memory of activations against what PyTorch keeps and makes on a CPU."""

import weakref
from typing import Any

import pytest
import torch
from small_networks import random_molecule
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unimol2_model import ModelConfig, MoleculeBatch, UniMol2ForPretraining
from unimol2_tasks.planning.activations import activation_bytes, kept_bytes
from unimol2_tasks.planning.states import Precision

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
MOLECULES = 3
CONFIGS = {
    "tiny": ModelConfig.preset("tiny"),
    "other widths": ModelConfig(blocks=3, atom_dim=64, heads=4, ffn_dim=128, pair_dim=96, pair_hidden_dim=32),
    "84M, one block": ModelConfig(
        blocks=1, atom_dim=768, heads=48, ffn_dim=768, pair_dim=512, pair_hidden_dim=64
    ),
    "no dropout": ModelConfig(
        blocks=2, atom_dim=64, heads=4, ffn_dim=64, pair_dim=48, pair_hidden_dim=16,
        dropout=0.0, attention_dropout=0.0, pair_dropout=0.0,
    ),
}  # fmt: skip


def network(config: ModelConfig, precision: Precision, checkpoint: bool) -> UniMol2ForPretraining:
    model = UniMol2ForPretraining(config).to(DTYPES[precision]).train()
    model.backbone.checkpoint_activations = checkpoint
    return model


def molecules(atoms: int) -> MoleculeBatch:
    return MoleculeBatch.collate([random_molecule(atoms, seed) for seed in range(MOLECULES)])


def measured_kept(model: UniMol2ForPretraining, batch: MoleculeBatch) -> int:
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model.loss(batch).total
    assert loss.requires_grad
    return sum(sizes.values())


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors made within, as they come and go."""

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.sizes = {tensor.untyped_storage()._cdata: 0 for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: Any) -> None:
        key = storage._cdata
        if key in self.sizes:
            return
        self.sizes[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.now -= self.sizes.pop(key)


@pytest.mark.parametrize("checkpoint", [False, True], ids=["kept", "checkpointed"])
@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("atoms", [9, 26])
@pytest.mark.parametrize("name", CONFIGS)
def test_what_autograd_keeps_is_foretold(
    name: str, atoms: int, precision: Precision, checkpoint: bool
) -> None:
    config = CONFIGS[name]
    kept = measured_kept(network(config, precision, checkpoint), molecules(atoms))
    foretold = MOLECULES * kept_bytes(config, atoms, precision, checkpoint_activations=checkpoint)
    assert foretold == pytest.approx(kept, rel=0.05)


@pytest.mark.parametrize("checkpoint", [False, True], ids=["kept", "checkpointed"])
@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("name", CONFIGS)
def test_the_peak_of_a_step_is_foretold_rather_too_high_than_too_low(
    name: str, precision: Precision, checkpoint: bool
) -> None:
    config, atoms = CONFIGS[name], 30
    model = network(config, precision, checkpoint)
    # Gradients are there before, as they are with accumulation: they count as states, not as activations.
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    known = [tensor for weight in model.parameters() for tensor in (weight.data, weight.grad)]
    batch = molecules(atoms)
    with LiveBytes([tensor for tensor in known if tensor is not None]) as live:
        torch.autograd.backward(model.loss(batch).total)
    foretold = MOLECULES * activation_bytes(config, atoms, precision, checkpoint_activations=checkpoint)
    assert 0.97 * live.peak < foretold < 1.15 * live.peak
